package lockstep.block.qcow2;

import lockstep.block.luks.DiskCipher;
import lockstep.block.luks.LuksHeader;
import lockstep.block.luks.Secrets;
import lockstep.block.node.BlockException;
import lockstep.block.node.ChildEdge;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

/**
 * How an image is encrypted.
 *
 * @param format aes or luks, null for not at all
 * @param luks its LUKS header
 * @param cipher null when it was opened without its key
 */
public record Encryption(
        @Nullable String format, @Nullable LuksHeader luks, @Nullable DiskCipher cipher) {
    /**
     * What opens an image.
     *
     * @param secrets where passwords are; null when nothing of the guest's will be read or written
     * @param format that the image must have; null for any
     * @param secret the identifier of the password's object
     * @param legacy whether AES-CBC is allowed: its keys are weak, so that guests do not run on it
     */
    public record Key(
            @Nullable Secrets secrets,
            @Nullable String format,
            @Nullable String secret,
            boolean legacy) {
        /** Opens what is not encrypted. */
        public static final Key NONE = new Key(Secrets.NONE, null, null, false);
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    static Encryption of(ChildEdge file, Qcow2Header header, Key key) throws BlockException {
        String format =
                switch (header.encryption()) {
                    case Qcow2Header.CRYPT_AES -> "aes";
                    case Qcow2Header.CRYPT_LUKS -> "luks";
                    default -> null;
                };
        String wanted = key.format;
        if (format == null) {
            if (wanted != null) {
                throw bad(
                        "No encryption in image header, but options specified format '"
                                + wanted
                                + "'");
            }
            return new Encryption(null, null, null);
        }
        if (wanted != null && !wanted.equals(format)) {
            throw bad(
                    "Header reported '"
                            + format
                            + "' encryption format but options specify '"
                            + wanted
                            + "'");
        }
        if (format.equals("aes") && !key.legacy) {
            throw new BlockException(
                    Errno.ENOTSUP,
                    "Use of AES-CBC encrypted qcow2 images is no longer supported in system"
                            + " emulators");
        }
        long end = file.length();
        LuksHeader.Storage storage =
                (offset, target) -> {
                    if (offset + target.byteSize() > header.luksBytes()
                            || header.luksOffset() + offset + target.byteSize() > end) {
                        throw bad("Request for data outside of extension header");
                    }
                    file.read(header.luksOffset() + offset, target);
                };
        LuksHeader luks = format.equals("luks") ? LuksHeader.read(storage) : null;
        Secrets secrets = key.secrets;
        if (secrets == null) {
            return new Encryption(format, luks, null);
        }
        String secret = key.secret;
        if (secret == null) {
            throw bad("Parameter 'encrypt.key-secret' is required for cipher");
        }
        byte[] password = secrets.find(secret);
        return new Encryption(
                format,
                luks,
                luks == null
                        ? DiskCipher.legacy(password)
                        : luks.unlock(storage, password, secret));
    }

    /** Errors when the guest's data cannot be read or written. */
    void checkUsable() throws BlockException {
        if (format != null && cipher == null) {
            throw new BlockException(Errno.EIO, "The image was opened without its key");
        }
    }
}
