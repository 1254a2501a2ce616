package lockstep.runtime.command;

import lockstep.api.ObjectOptions;
import lockstep.api.QCryptoSecretFormat;
import lockstep.api.SecretProperties;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.Secret;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Objects;

import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * {@code -object secret}: a password or key, given as text or file, plain or in base64, and perhaps encrypted
 * with another secret (AES-256 in CBC mode, padded as PKCS #7 says).
 */
public final class SecretObject implements Secret {
    private static final int KEY_BYTES = 32;
    private static final int IV_BYTES = 16;

    private static final QomKind<QCryptoSecretFormat> FORMAT =
            new QomKind<>(
                    "QCryptoSecretFormat",
                    QCryptoSecretFormat::read,
                    QCryptoSecretFormat::wireName);

    private static final QomType<SecretObject> COMMON =
            QomType.<SecretObject>abstraction("secret_common")
                    .with("format", FORMAT, null, o -> o.format, (o, v) -> o.format = v)
                    .with("keyid", QomKind.STRING, null, o -> o.keyId, (o, v) -> o.keyId = v)
                    .with("iv", QomKind.STRING, null, o -> o.iv, (o, v) -> o.iv = v);

    /** As in QEMU, changes of an object in use are only remembered: the secret was read when it was made. */
    static final QomType<SecretObject> TYPE =
            QomType.of("secret", COMMON)
                    .with("data", QomKind.STRING, null, o -> o.data, (o, v) -> o.data = v)
                    .with("file", QomKind.STRING, null, o -> o.file, (o, v) -> o.file = v);

    private final byte[] secret;
    private QCryptoSecretFormat format;
    private String keyId;
    private String iv;
    private String data;
    private String file;

    private SecretObject(byte[] secret, SecretProperties given) {
        this.secret = secret;
        format = Objects.requireNonNullElse(given.format(), QCryptoSecretFormat.RAW);
        keyId = Objects.requireNonNullElse(given.keyid(), "");
        iv = Objects.requireNonNullElse(given.iv(), "");
        data = Objects.requireNonNullElse(given.data(), "");
        file = Objects.requireNonNullElse(given.file(), "");
    }

    /** Finds another secret by its identifier; null when there is none. */
    @FunctionalInterface
    public interface Others {
        @Nullable SecretObject find(String id);
    }

    /** Makes one of {@code -object} options. */
    static SecretObject create(ObjectOptions.Secret given, ObjectTree objects) throws QmpException {
        return create(given, id -> objects.object(id, SecretObject.class));
    }

    /** Likewise, where there is no tree of objects. */
    public static SecretObject create(ObjectOptions.Secret given, Others others)
            throws QmpException {
        SecretProperties p = given.data();
        byte[] content = content(p);
        String key = p.keyid();
        String iv = p.iv();
        if (key == null) {
            if (p.format() == QCryptoSecretFormat.BASE64) {
                content = decoded(content);
            }
            return new SecretObject(content, p);
        }
        SecretObject master = find(others, key);
        if (iv == null) {
            throw new QmpException("IV is required to decrypt secret");
        }
        if (p.format() == QCryptoSecretFormat.BASE64) {
            content = decoded(content);
        }
        return new SecretObject(master.decrypt(content, decoded(bytes(iv))), p);
    }

    /** What the secret of that identifier is, as text. */
    static String text(ObjectTree objects, String id) throws QmpException {
        return new String(
                find(i -> objects.object(i, SecretObject.class), id).secret,
                StandardCharsets.UTF_8);
    }

    private static SecretObject find(Others others, String id) throws QmpException {
        SecretObject secret = others.find(id);
        if (secret == null) {
            throw new QmpException("No secret with id '" + id + "'");
        }
        return secret;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] content(SecretProperties p) throws QmpException {
        String data = p.data();
        String file = p.file();
        if (file == null) {
            if (data == null) {
                throw new QmpException("Either 'file' or 'data' must be provided");
            }
            return bytes(data);
        }
        if (data != null) {
            throw new QmpException("'file' and 'data' are mutually exclusive");
        }
        try {
            return Files.readAllBytes(Path.of(file));
        } catch (IOException e) {
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR, "Unable to read " + file + ": " + reason(file, e), e);
        }
    }

    private static String reason(String file, IOException e) {
        String closed = "Failed to open file “" + file + "”: ";
        return switch (e) {
            case NoSuchFileException gone -> closed + Errno.text(Errno.ENOENT);
            case AccessDeniedException refused -> closed + Errno.text(Errno.EACCES);
            default -> String.valueOf(e.getMessage());
        };
    }

    private static byte[] decoded(byte[] base64) throws QmpException {
        try {
            // A line's end is no mistake.
            return Base64.getDecoder()
                    .decode(
                            new String(base64, StandardCharsets.ISO_8859_1)
                                    .replace("\n", "")
                                    .replace("\r", ""));
        } catch (IllegalArgumentException e) {
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR, "Base64 data contains invalid characters", e);
        }
    }

    private byte[] decrypt(byte[] encrypted, byte[] iv) throws QmpException {
        if (secret.length != KEY_BYTES) {
            throw new QmpException("Key should be 32 bytes in length");
        }
        if (iv.length != IV_BYTES) {
            throw new QmpException("IV should be 16 bytes in length not " + iv.length);
        }
        try {
            Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding");
            cipher.init(
                    Cipher.DECRYPT_MODE, new SecretKeySpec(secret, "AES"), new IvParameterSpec(iv));
            return cipher.doFinal(encrypted);
        } catch (GeneralSecurityException e) {
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR, "Unable to decrypt the secret: " + e.getMessage(), e);
        }
    }

    @Override
    public byte[] content() {
        return secret;
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {
        Arrays.fill(secret, (byte) 0);
    }
}
