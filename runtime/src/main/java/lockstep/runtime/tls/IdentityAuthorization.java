package lockstep.runtime.tls;

import lockstep.api.ObjectOptions;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import java.util.List;

/** {@code authz-simple}: one may, and nobody else. */
public final class IdentityAuthorization implements Authorization {
    /** How it is made. */
    public static final QomType<IdentityAuthorization> TYPE =
            QomType.<IdentityAuthorization>of("authz-simple", Authorization.TYPE)
                    .with(
                            "identity",
                            QomKind.STRING,
                            null,
                            o -> o.identity,
                            (o, v) -> o.identity = v);

    private volatile String identity;

    private IdentityAuthorization(String identity) {
        this.identity = identity;
    }

    /** Makes one of {@code -object} options. */
    public static IdentityAuthorization create(ObjectOptions.AuthzSimple given) {
        return new IdentityAuthorization(given.data().identity());
    }

    @Override
    public boolean allows(String who) {
        return who.equals(identity);
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {}
}
