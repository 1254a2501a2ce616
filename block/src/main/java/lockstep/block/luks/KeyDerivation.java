package lockstep.block.luks;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Locale;

import javax.crypto.Mac;
import javax.crypto.ShortBufferException;
import javax.crypto.spec.SecretKeySpec;

/** Makes keys of passwords (PBKDF2, RFC 8018), and splits keys into stripes that must all be there (LUKS: AF splitter). */
final class KeyDerivation {
    private static final int MEASURED_ROUNDS = 1 << 15;

    private final String hash;

    /**
     * With a hash.
     *
     * @param hash as LUKS headers name it: sha1, sha224, sha256, sha384 or sha512
     */
    KeyDerivation(String hash) {
        this.hash = hash;
    }

    private static BlockException failed(GeneralSecurityException e) {
        return new BlockException(Errno.EIO, "The key cannot be made: " + e, e);
    }

    private Mac mac(byte[] password) throws BlockException {
        try {
            Mac mac = Mac.getInstance("Hmac" + hash.toUpperCase(Locale.ROOT));
            // HMAC fills keys up with zeroes, so that one zero is no password; the platform takes
            // no empty key.
            mac.init(new SecretKeySpec(password.length == 0 ? new byte[1] : password, "HMAC"));
            return mac;
        } catch (GeneralSecurityException e) {
            throw failed(e);
        }
    }

    /** PBKDF2 without a limit on what a password is made of, for keys go through it as well. */
    byte[] derive(byte[] password, byte[] salt, long rounds, int length) throws BlockException {
        Mac mac = mac(password);
        int size = mac.getMacLength();
        byte[] key = new byte[(length + size - 1) / size * size];
        byte[] one = new byte[size];
        try {
            for (int block = 0; block * size < length; block++) {
                mac.update(salt);
                mac.update(number(block + 1));
                mac.doFinal(one, 0);
                System.arraycopy(one, 0, key, block * size, size);
                for (long i = 1; i < rounds; i++) {
                    mac.update(one);
                    mac.doFinal(one, 0);
                    for (int j = 0; j < size; j++) {
                        key[block * size + j] ^= one[j];
                    }
                }
            }
        } catch (ShortBufferException e) {
            throw failed(e);
        }
        return Arrays.copyOf(key, length);
    }

    /** How many rounds take so many milliseconds here. */
    long rounds(long milliseconds, int length) throws BlockException {
        byte[] salt = new byte[32];
        derive(salt, salt, MEASURED_ROUNDS, length); // so that the compiler has seen it
        long before = System.nanoTime();
        derive(salt, salt, MEASURED_ROUNDS, length);
        long nanos = Math.max(1, System.nanoTime() - before);
        return (long) (MEASURED_ROUNDS * (milliseconds * 1e6 / nanos));
    }

    private static byte[] number(int value) {
        return new byte[] {
            (byte) (value >>> 24), (byte) (value >>> 16), (byte) (value >>> 8), (byte) value
        };
    }

    /** Replaces each piece by its hash with its number. */
    private void diffuse(byte[] block) throws BlockException {
        try {
            MessageDigest digest =
                    MessageDigest.getInstance("SHA-" + hash.substring("sha".length()));
            int size = digest.getDigestLength();
            for (int at = 0; at < block.length; at += size) {
                int length = Math.min(size, block.length - at);
                digest.update(number(at / size));
                digest.update(block, at, length);
                System.arraycopy(digest.digest(), 0, block, at, length);
            }
        } catch (GeneralSecurityException e) {
            throw failed(e);
        }
    }

    private static void mix(byte[] into, byte[] from, int at) {
        for (int i = 0; i < into.length; i++) {
            into[i] ^= from[at + i];
        }
    }

    /** The key that was split. */
    byte[] merge(byte[] stripes, int length) throws BlockException {
        byte[] block = new byte[length];
        for (int at = 0; at < stripes.length - length; at += length) {
            mix(block, stripes, at);
            diffuse(block);
        }
        mix(block, stripes, stripes.length - length);
        return block;
    }

    /** Splits a key; {@code random} is as long as the stripes are to be, and becomes them. */
    void split(byte[] key, byte[] random) throws BlockException {
        byte[] block = new byte[key.length];
        for (int at = 0; at < random.length - key.length; at += key.length) {
            mix(block, random, at);
            diffuse(block);
        }
        mix(block, key, 0);
        System.arraycopy(block, 0, random, random.length - key.length, key.length);
    }
}
