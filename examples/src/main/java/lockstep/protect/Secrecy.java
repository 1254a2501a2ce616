package lockstep.protect;

import lockstep.api.Client;
import lockstep.api.MigrateSetParameters;
import lockstep.api.StrOrNull;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.Map;
import java.util.Objects;

/**
 * With which TLS credentials a pair talks; null everywhere when it talks in clear.
 *
 * @param client the survivor's as a client: of the disks and the migration
 * @param server the survivor's as a server: of the packets
 * @param secondary the new secondary's as a server
 * @param hostname what the secondary's certificate says instead of its address
 * @param before the survivor's migration parameter as it was
 */
record Secrecy(
        @Nullable String client,
        @Nullable String server,
        @Nullable String secondary,
        @Nullable String hostname,
        String before) {

    /**
     * All is encrypted, or nothing: a side that has credentials for its migration shall not find its guest's memory sent in
     * clear.
     */
    static Secrecy of(Client survivor, Client secondary, Map<Setting, String> settings)
            throws QmpException, IOException {
        var own = survivor.queryMigrateParameters();
        String before = orEmpty(own.tlsCreds());
        String theirs = orEmpty(secondary.queryMigrateParameters().tlsCreds());
        String client = settings.getOrDefault(Setting.TLS_CREDS, "");
        String server = settings.getOrDefault(Setting.TLS_CREDS_SERVER, "");
        if (client.isEmpty() != server.isEmpty()) {
            throw new QmpException("--tls-creds and --tls-creds-server go together");
        }
        if (!client.isEmpty()) {
            if (theirs.isEmpty()) {
                throw new QmpException(
                        "the new secondary does not take the migration by TLS: its migration"
                                + " parameter tls-creds is not set");
            }
            String name = orEmpty(own.tlsHostname());
            return new Secrecy(client, server, theirs, name.isEmpty() ? null : name, before);
        }
        if (!before.isEmpty() || !theirs.isEmpty()) {
            throw new QmpException(
                    (before.isEmpty() ? "the new secondary" : "the survivor")
                            + " moves by TLS (migration parameter tls-creds), but memory, disk and"
                            + " packets would go in clear: give --tls-creds and"
                            + " --tls-creds-server");
        }
        return new Secrecy(null, null, null, null, before);
    }

    /** Tells the survivor's migration. */
    void apply(Client survivor, Undo undo) throws QmpException, IOException {
        if (client != null && !client.equals(before)) {
            set(survivor, client);
            undo.push(() -> set(survivor, before));
        }
    }

    private static void set(Client survivor, String id) throws QmpException, IOException {
        survivor.migrateSetParameters(
                MigrateSetParameters.builder().tlsCreds(new StrOrNull.S(id)).build());
    }

    private static String orEmpty(@Nullable String name) {
        return Objects.requireNonNullElse(name, "");
    }
}
