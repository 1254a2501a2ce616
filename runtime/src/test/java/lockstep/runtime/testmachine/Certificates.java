package lockstep.runtime.testmachine;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.PublicKey;
import java.security.interfaces.ECPrivateKey;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/** A directory with the certificates of an authority, a server and a client, made with the JDK's own tool. */
public final class Certificates {
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
    public static Path make(Path directory, String kind)
            throws IOException, GeneralSecurityException {
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

    private void keytool(String... words) throws IOException {
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
        try {
            Process p = new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (p.waitFor() != 0) {
                throw new AssertionError(List.of(command) + " printed: " + output);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    private void writeKey(String alias, Path file) throws IOException, GeneralSecurityException {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(store)) {
            keys.load(in, PASSWORD.toCharArray());
        }
        Key key = keys.getKey(alias, PASSWORD.toCharArray());
        byte[] der =
                key instanceof ECPrivateKey ec
                        ? withPublicKey(ec, keys.getCertificate(alias).getPublicKey())
                        : key.getEncoded();
        String text = Base64.getMimeEncoder().encodeToString(der);
        Files.writeString(
                file, "-----BEGIN PRIVATE KEY-----\n" + text + "\n-----END PRIVATE KEY-----\n");
    }

    /** The key in PKCS #8 with its optional public part (RFC 5915), which GnuTLS wants and Java leaves out. */
    private static byte[] withPublicKey(ECPrivateKey key, PublicKey other) {
        byte[] info = other.getEncoded(); // a sequence of the algorithm and the bits of the key
        int start = 2 + (info[1] < 0 ? info[1] & 0x7f : 0);
        int middle = start + 2 + info[start + 1];
        byte[] algorithm = Arrays.copyOfRange(info, start, middle);
        byte[] bits = Arrays.copyOfRange(info, middle, info.length);
        int size = (key.getParams().getOrder().bitLength() + 7) / 8;
        byte[] number = key.getS().toByteArray();
        byte[] secret = new byte[size];
        int length = Math.min(size, number.length);
        System.arraycopy(number, number.length - length, secret, size - length, length);
        byte[] one = {2, 1, 1};
        byte[] zero = {2, 1, 0};
        byte[] inner = element(0x30, one, element(4, secret), element(0xa1, bits));
        return element(0x30, zero, algorithm, element(4, inner));
    }

    private static byte[] element(int tag, byte[]... parts) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            content.writeBytes(part);
        }
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        all.write(tag);
        if (content.size() > 127) {
            all.write(0x81);
        }
        all.write(content.size());
        all.writeBytes(content.toByteArray());
        return all.toByteArray();
    }
}
