package lockstep.block.luks;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.concurrent.ArrayBlockingQueue;

import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Encrypts and decrypts whole sectors of 512 bytes, each by its number, with AES. The Java platform has no XTS (IEEE 1619):
 * it is made of its ECB, which works on many blocks at once, and the tweaks. Any thread; a few threads' tools are kept.
 */
public final class DiskCipher {
    /** The unit of encryption in bytes. */
    public static final int SECTOR = 512;

    private static final int BLOCK = 16;
    private static final int CHUNK = 4 * SECTOR;
    private static final int KEPT = 2;

    /** How blocks of a sector go together. */
    public enum Mode {
        ECB,
        CBC,
        XTS
    }

    /** How a sector's number becomes a vector. */
    public enum Vector {
        PLAIN,
        PLAIN64,
        ESSIV
    }

    private final Mode mode;
    private final Vector vector;
    private final SecretKeySpec dataKey;
    private final SecretKeySpec vectorKey;
    private final ArrayBlockingQueue<Tools> free = new ArrayBlockingQueue<>(KEPT);

    /**
     * A cipher.
     *
     * @param key of 16, 24 or 32 bytes, twice that with XTS
     * @param vectorKey the hash of the key with ESSIV; of no matter else
     */
    DiskCipher(Mode mode, Vector vector, byte[] key, byte[] vectorKey) {
        this.mode = mode;
        this.vector = vector;
        int length = mode == Mode.XTS ? key.length / 2 : key.length;
        dataKey = new SecretKeySpec(key, 0, length, "AES");
        if (mode == Mode.XTS) {
            this.vectorKey = new SecretKeySpec(key, length, length, "AES");
        } else {
            this.vectorKey = vector == Vector.ESSIV ? new SecretKeySpec(vectorKey, "AES") : dataKey;
        }
    }

    /** What one thread works with. */
    private final class Tools {
        final Cipher encrypt;
        final Cipher decrypt;
        final Cipher vectors;
        final byte[] data = new byte[CHUNK];
        final byte[] tweaks = new byte[CHUNK];
        final byte[] start = new byte[BLOCK];

        Tools() throws GeneralSecurityException {
            String name = mode == Mode.CBC ? "AES/CBC/NoPadding" : "AES/ECB/NoPadding";
            encrypt = Cipher.getInstance(name);
            decrypt = Cipher.getInstance(name);
            vectors = Cipher.getInstance("AES/ECB/NoPadding");
            vectors.init(Cipher.ENCRYPT_MODE, vectorKey);
            if (mode != Mode.CBC) {
                encrypt.init(Cipher.ENCRYPT_MODE, dataKey);
                decrypt.init(Cipher.DECRYPT_MODE, dataKey);
            }
        }

        void start(long sector) throws GeneralSecurityException {
            long number = vector == Vector.PLAIN ? sector & 0xffffffffL : sector;
            for (int i = 0; i < BLOCK; i++) {
                start[i] = i < 8 ? (byte) (number >>> 8 * i) : 0;
            }
            if (mode == Mode.XTS || vector == Vector.ESSIV) {
                vectors.doFinal(start, 0, BLOCK, start, 0);
            }
        }

        /** The tweaks of a sector: each is the one before times x in GF(2^128). */
        void tweaks(long sector, int at) throws GeneralSecurityException {
            start(sector);
            long low = 0;
            long high = 0;
            for (int i = 7; i >= 0; i--) {
                low = low << 8 | start[i] & 0xff;
                high = high << 8 | start[i + 8] & 0xff;
            }
            for (int i = at; i < at + SECTOR; i += BLOCK) {
                LITTLE.set(tweaks, i, low);
                LITTLE.set(tweaks, i + 8, high);
                long carry = high >> 63;
                high = high << 1 | low >>> 63;
                low = low << 1 ^ carry & 0x87;
            }
        }

        void mix(int length) {
            for (int i = 0; i < length; i += 8) {
                LITTLE.set(data, i, (long) LITTLE.get(data, i) ^ (long) LITTLE.get(tweaks, i));
            }
        }

        void run(boolean encrypting, long sector, int length) throws GeneralSecurityException {
            Cipher cipher = encrypting ? encrypt : decrypt;
            switch (mode) {
                case ECB -> cipher.doFinal(data, 0, length, data, 0);
                case XTS -> {
                    for (int at = 0; at < length; at += SECTOR) {
                        tweaks(sector + at / SECTOR, at);
                    }
                    mix(length);
                    cipher.doFinal(data, 0, length, data, 0);
                    mix(length);
                }
                case CBC -> {
                    for (int at = 0; at < length; at += SECTOR) {
                        start(sector + at / SECTOR);
                        cipher.init(
                                encrypting ? Cipher.ENCRYPT_MODE : Cipher.DECRYPT_MODE,
                                dataKey,
                                new IvParameterSpec(start));
                        cipher.doFinal(data, at, SECTOR, data, at);
                    }
                }
            }
        }
    }

    private static final java.lang.invoke.VarHandle LITTLE =
            java.lang.invoke.MethodHandles.byteArrayViewVarHandle(
                    long[].class, java.nio.ByteOrder.LITTLE_ENDIAN);

    /** Encrypts in place; {@code position}, in bytes, gives the number of the first sector. */
    public void encrypt(long position, MemorySegment sectors) throws BlockException {
        run(true, position, sectors);
    }

    /** Decrypts in place; {@code position}, in bytes, gives the number of the first sector. */
    public void decrypt(long position, MemorySegment sectors) throws BlockException {
        run(false, position, sectors);
    }

    private void run(boolean encrypting, long position, MemorySegment sectors)
            throws BlockException {
        if (((position | sectors.byteSize()) & SECTOR - 1) != 0) {
            throw new BlockException(Errno.EINVAL);
        }
        try {
            Tools tools = free.poll();
            if (tools == null) {
                tools = new Tools();
            }
            for (long at = 0; at < sectors.byteSize(); at += CHUNK) {
                int length = (int) Math.min(CHUNK, sectors.byteSize() - at);
                MemorySegment.copy(sectors, ValueLayout.JAVA_BYTE, at, tools.data, 0, length);
                tools.run(encrypting, (position + at) / SECTOR, length);
                MemorySegment.copy(tools.data, 0, sectors, ValueLayout.JAVA_BYTE, at, length);
            }
            Arrays.fill(tools.data, (byte) 0);
            if (!free.offer(tools)) {
                return; // Enough are kept.
            }
        } catch (GeneralSecurityException e) {
            throw new BlockException(Errno.EIO, "The disk cannot be encrypted: " + e, e);
        }
    }

    /** AES-CBC of old qcow2 images: the password's first 16 bytes are the key. Positions are the guest's. */
    public static DiskCipher legacy(byte[] password) {
        return new DiskCipher(
                Mode.CBC, Vector.PLAIN64, Arrays.copyOf(password, BLOCK), new byte[0]);
    }
}
