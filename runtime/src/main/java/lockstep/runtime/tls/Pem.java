package lockstep.runtime.tls;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.crypto.Cipher;
import javax.crypto.EncryptedPrivateKeyInfo;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;

/** Private keys in text form (RFC 7468): PKCS #8, plain and encrypted, and the older forms of RSA and EC keys. */
final class Pem {
    private static final Pattern BLOCK =
            Pattern.compile("-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \\1-----");
    private static final List<String> ALGORITHMS = List.of("RSA", "EC", "EdDSA", "RSASSA-PSS");

    // AlgorithmIdentifiers: rsaEncryption with NULL (RFC 8017, A.1), and the type of id-ecPublicKey
    // (RFC 5480, 2.1.1).
    private static final byte[] RSA = HexFormat.of().parseHex("300d06092a864886f70d0101010500");
    private static final byte[] EC_TYPE = HexFormat.of().parseHex("06072a8648ce3d0201");
    private static final byte[] VERSION_0 = {2, 1, 0};

    private static final int SEQUENCE = 0x30;
    private static final int OCTETS = 4;
    private static final int CURVE = 0xa0;

    private Pem() {}

    /**
     * The first private key of a file.
     *
     * @param password what it may be encrypted with; empty for none
     */
    static PrivateKey privateKey(byte[] file, String password) throws GeneralSecurityException {
        Matcher m = BLOCK.matcher(new String(file, StandardCharsets.ISO_8859_1));
        while (m.find()) {
            String label = m.group(1);
            if (!label.endsWith("PRIVATE KEY")) {
                continue; // the parameters of a curve, or a certificate
            }
            byte[] der;
            try {
                der = Base64.getMimeDecoder().decode(m.group(2));
            } catch (IllegalArgumentException e) {
                throw new InvalidKeySpecException("The key is no base64", e);
            }
            return switch (label) {
                case "PRIVATE KEY" -> key(new PKCS8EncodedKeySpec(der));
                case "RSA PRIVATE KEY" -> key(wrapped(RSA, der));
                case "EC PRIVATE KEY" -> key(wrapped(curve(der), der));
                case "ENCRYPTED PRIVATE KEY" -> key(decrypted(der, password));
                default -> throw new InvalidKeySpecException(label + " is not supported");
            };
        }
        throw new InvalidKeySpecException("There is no private key");
    }

    private static PrivateKey key(PKCS8EncodedKeySpec spec) throws GeneralSecurityException {
        for (String algorithm : ALGORITHMS) {
            try {
                return KeyFactory.getInstance(algorithm).generatePrivate(spec);
            } catch (InvalidKeySpecException e) {
                continue; // another one's
            }
        }
        throw new InvalidKeySpecException("The private key is of no known kind");
    }

    private static PKCS8EncodedKeySpec decrypted(byte[] der, String password)
            throws GeneralSecurityException {
        if (password.isEmpty()) {
            throw new InvalidKeySpecException(
                    "The private key is encrypted; 'passwordid' is needed");
        }
        try {
            EncryptedPrivateKeyInfo info = new EncryptedPrivateKeyInfo(der);
            String algorithm =
                    info.getAlgParameters().toString(); // names both parts, the OID but one
            Cipher cipher = Cipher.getInstance(algorithm);
            cipher.init(
                    Cipher.DECRYPT_MODE,
                    SecretKeyFactory.getInstance(algorithm)
                            .generateSecret(new PBEKeySpec(password.toCharArray())),
                    info.getAlgParameters());
            return info.getKeySpec(cipher);
        } catch (java.io.IOException e) {
            throw new InvalidKeySpecException("The encrypted private key is malformed", e);
        }
    }

    // ---- DER, as far as a key of an older form is put into one of PKCS #8 (RFC 5958)

    private static PKCS8EncodedKeySpec wrapped(byte[] algorithm, byte[] key) {
        return new PKCS8EncodedKeySpec(
                element(SEQUENCE, VERSION_0, algorithm, element(OCTETS, key)));
    }

    private static byte[] element(int tag, byte[]... parts) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            content.writeBytes(part);
        }
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        all.write(tag);
        int n = content.size();
        if (n >= 0x80) {
            int bytes = n < 0x100 ? 1 : n < 0x10000 ? 2 : 3;
            all.write(0x80 | bytes);
            for (int i = bytes - 1; i >= 0; i--) {
                all.write(n >>> i * 8);
            }
        } else {
            all.write(n);
        }
        all.writeBytes(content.toByteArray());
        return all.toByteArray();
    }

    /** The algorithm of an EC key (RFC 5915), which says in its first optional part on which curve it is. */
    private static byte[] curve(byte[] key) throws InvalidKeySpecException {
        try {
            int at = content(key, 0);
            while (at < key.length) {
                int start = content(key, at);
                int end = start + length(key, at);
                if ((key[at] & 0xff) == CURVE) {
                    byte[] name = java.util.Arrays.copyOfRange(key, start, end);
                    return element(SEQUENCE, EC_TYPE, name);
                }
                at = end;
            }
        } catch (IndexOutOfBoundsException e) {
            throw new InvalidKeySpecException("The EC private key is malformed", e);
        }
        throw new InvalidKeySpecException("The EC private key does not name its curve");
    }

    /** Where the content of the element at {@code at} begins. */
    private static int content(byte[] der, int at) {
        return at + 2 + ((der[at + 1] & 0x80) != 0 ? der[at + 1] & 0x7f : 0);
    }

    private static int length(byte[] der, int at) {
        int n = der[at + 1] & 0xff;
        if (n < 0x80) {
            return n;
        }
        int length = 0;
        for (int i = 0; i < (n & 0x7f); i++) {
            length = length << 8 | der[at + 2 + i] & 0xff;
        }
        return length;
    }
}
