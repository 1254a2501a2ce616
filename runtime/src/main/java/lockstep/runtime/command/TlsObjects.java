package lockstep.runtime.command;

import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.tls.FileAuthorization;
import lockstep.runtime.tls.IdentityAuthorization;
import lockstep.runtime.tls.ListAuthorization;
import lockstep.runtime.tls.TlsCredentials;

/** The objects for TLS, and those that the Java platform's engine cannot serve. */
final class TlsObjects {
    private TlsObjects() {}

    static void register(VmmProcess vmm) {
        vmm.objectType(
                TlsCredentials.TYPE,
                ObjectOptions.TlsCredsX509.class,
                (options, context) ->
                        TlsCredentials.create(
                                options, id -> SecretObject.text(context.objects(), id)));
        vmm.objectType(
                QomType.<UserObject>of("tls-creds-anon"),
                ObjectOptions.TlsCredsAnon.class,
                (options, context) -> {
                    throw new QmpException(
                            "TLS without certificates protects from nobody who can change what is"
                                    + " on the wire, and is not supported; use tls-creds-x509");
                });
        vmm.objectType(
                QomType.<UserObject>of("tls-creds-psk"),
                ObjectOptions.TlsCredsPsk.class,
                (options, context) -> {
                    throw new QmpException(
                            "The TLS engine of this Java has no pre-shared keys; use"
                                    + " tls-creds-x509");
                });
        vmm.objectType(
                IdentityAuthorization.TYPE,
                ObjectOptions.AuthzSimple.class,
                (options, context) -> IdentityAuthorization.create(options));
        vmm.objectType(
                FileAuthorization.TYPE,
                ObjectOptions.AuthzListFile.class,
                (options, context) -> FileAuthorization.create(options));
        vmm.objectType(
                QomType.<UserObject>of("authz-pam"),
                ObjectOptions.AuthzPam.class,
                (options, context) -> {
                    throw new QmpException(
                            "PAM is not asked by this build; use authz-list-file, whose file can be"
                                    + " changed at any time");
                });
        vmm.objectType(
                ListAuthorization.TYPE,
                ObjectOptions.AuthzList.class,
                (options, context) -> ListAuthorization.create(options));
    }
}
