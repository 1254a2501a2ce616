package lockstep.runtime.tls;

import lockstep.api.AuthZListProperties;
import lockstep.api.ObjectOptions;
import lockstep.api.QAuthZListFormat;
import lockstep.api.QAuthZListPolicy;
import lockstep.api.QAuthZListRule;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;

/** {@code authz-list}: the first rule that fits says who may, the policy where none does. */
public final class ListAuthorization implements Authorization {
    private static final QomKind<QAuthZListPolicy> POLICY =
            new QomKind<>("QAuthZListPolicy", QAuthZListPolicy::read, QAuthZListPolicy::wireName);

    /** How it is made. */
    public static final QomType<ListAuthorization> TYPE =
            QomType.<ListAuthorization>of("authz-list", Authorization.TYPE)
                    .with("policy", POLICY, null, o -> o.policy, (o, v) -> o.policy = v);

    private volatile QAuthZListPolicy policy;
    private final List<QAuthZListRule> rules;

    /** By these rules. */
    ListAuthorization(AuthZListProperties p) {
        policy = Objects.requireNonNullElse(p.policy(), QAuthZListPolicy.DENY);
        rules = p.rules() == null ? List.of() : List.copyOf(p.rules());
    }

    /** Makes one of {@code -object} options. */
    public static ListAuthorization create(ObjectOptions.AuthzList given) {
        return new ListAuthorization(given.data());
    }

    @Override
    public boolean allows(String who) {
        for (QAuthZListRule rule : rules) {
            boolean fits =
                    rule.format() == QAuthZListFormat.GLOB
                            ? glob(rule.match()).matcher(who).matches()
                            : who.equals(rule.match());
            if (fits) {
                return rule.policy() == QAuthZListPolicy.ALLOW;
            }
        }
        return policy == QAuthZListPolicy.ALLOW;
    }

    /** The signs * and ? stand for any text and any character. */
    private static Pattern glob(String pattern) {
        StringBuilder out = new StringBuilder();
        for (char c : pattern.toCharArray()) {
            out.append(
                    switch (c) {
                        case '*' -> ".*";
                        case '?' -> ".";
                        default -> Pattern.quote(String.valueOf(c));
                    });
        }
        return Pattern.compile(out.toString(), Pattern.DOTALL);
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {}
}
