package lockstep.conformance;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.util.Base64;

/** A directory with the certificates of an authority, a server and a client, made with the JDK's own tool. */
final class Certificates {
    private static final String PASSWORD = "changeit";

    private final Path store;
    private final String kind;

    private Certificates(Path store, String kind) {
        this.store = store;
        this.kind = kind;
    }

    /**
     * Fills a new directory.
     *
     * @param kind RSA or EC
     */
    static Path make(Path directory, String kind) throws IOException, GeneralSecurityException {
        Files.createDirectory(directory);
        new Certificates(directory.resolve("store.p12"), kind).fill(directory);
        return directory;
    }

    private void fill(Path directory) throws IOException, GeneralSecurityException {
        keytool("-genkeypair", "-alias", "ca", "-dname", "CN=Authority", "-ext", "bc:c");
        keytool("-exportcert", "-alias", "ca", "-rfc", "-file", directory + "/ca-cert.pem");
        for (String side : new String[] {"server", "client"}) {
            keytool("-genkeypair", "-alias", side, "-dname", "CN=" + side + ", O=Home, C=GB");
            Path request = directory.resolve(side + ".csr");
            keytool("-certreq", "-alias", side, "-file", request.toString());
            keytool(
                    "-gencert",
                    "-alias",
                    "ca",
                    "-ext",
                    "san=dns:localhost,ip:127.0.0.1",
                    "-rfc",
                    "-infile",
                    request.toString(),
                    "-outfile",
                    directory + "/" + side + "-cert.pem");
            writeKey(side, directory.resolve(side + "-key.pem"));
        }
    }

    private void keytool(String... words) {
        String[] command = new String[words.length + 7];
        command[0] = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        System.arraycopy(words, 0, command, 1, words.length);
        int at = words.length + 1;
        command[at] = "-keystore";
        command[at + 1] = store.toString();
        command[at + 2] = "-storepass";
        command[at + 3] = PASSWORD;
        boolean generates = words[0].equals("-genkeypair");
        command[at + 4] = generates ? "-keyalg" : "-v";
        command[at + 5] = generates ? kind : "-v";
        Host.run(command);
    }

    private void writeKey(String alias, Path file) throws IOException, GeneralSecurityException {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(store)) {
            keys.load(in, PASSWORD.toCharArray());
        }
        Key key = keys.getKey(alias, PASSWORD.toCharArray());
        String text = Base64.getMimeEncoder().encodeToString(key.getEncoded());
        Files.writeString(
                file, "-----BEGIN PRIVATE KEY-----\n" + text + "\n-----END PRIVATE KEY-----\n");
    }
}
