package lockstep.block.luks;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.UUID;

/**
 * The header of a LUKS volume of version 1: how the disk is encrypted, and eight slots that each hold the key, split into
 * stripes and encrypted with a password. All numbers are big endian.
 */
public final class LuksHeader {
    /** Where the header's bytes are. */
    public interface Storage {
        /** Fills the target; errors behind the end. */
        void read(long offset, MemorySegment target) throws BlockException;
    }

    /**
     * A slot.
     *
     * @param rounds hashing of the password
     * @param keyOffset of its stripes, in bytes
     */
    public record Slot(
            boolean active, long rounds, int stripes, long keyOffset, MemorySegment salt) {}

    private static final byte[] MAGIC = {'L', 'U', 'K', 'S', (byte) 0xba, (byte) 0xbe};
    private static final int VERSION = 1;
    private static final int LENGTH = 592;
    private static final int CIPHER_AT = 8;
    private static final int MODE_AT = 40;
    private static final int HASH_AT = 72;
    private static final int TEXT = 32;
    private static final int PAYLOAD_AT = 104;
    private static final int KEY_LENGTH_AT = 108;
    private static final int DIGEST_AT = 112;
    private static final int DIGEST_LENGTH = 20;
    private static final int SALT_AT = 132;
    private static final int SALT_LENGTH = 32;
    private static final int ROUNDS_AT = 164;
    private static final int UUID_AT = 168;
    private static final int UUID_LENGTH = 40;
    private static final int SLOTS_AT = 208;
    private static final int SLOT_LENGTH = 48;
    private static final int SLOTS = 8;
    private static final int ACTIVE = 0x00ac71f3;
    private static final int DISABLED = 0x0000dead;
    private static final int STRIPES = 4000;
    private static final int ALIGNMENT = 4096;
    private static final int KEY_MAX = 64;
    private static final long ROUNDS_MIN = 1000;

    /** The most that one password may take, a minute or two: who opens an image waits for it. */
    private static final long ROUNDS_MAX = 1L << 27;

    private static final List<String> HASHES =
            List.of("sha1", "sha224", "sha256", "sha384", "sha512");

    private final Kind kind;
    private final long payloadOffset;
    private final long rounds;
    private final String uuid;
    private final List<Slot> slots;
    private final byte[] digest;
    private final byte[] salt;

    /**
     * How a volume is encrypted, in the words of options.
     *
     * @param cipher aes-128, aes-192 or aes-256
     * @param mode ecb, cbc or xts
     * @param vector plain, plain64 or essiv
     * @param vectorHash the hash of keys with essiv, null else
     * @param hash of passwords
     */
    public record Kind(
            String cipher, String mode, String vector, @Nullable String vectorHash, String hash) {
        /** What there is without options. */
        public static final Kind DEFAULT = new Kind("aes-256", "xts", "plain64", null, "sha256");

        /** Likewise; with essiv the hash is sha256 unless one is given. */
        public static Kind of(
                String cipher, String mode, String vector, @Nullable String given, String hash) {
            boolean hashes = vector.equals("essiv");
            return new Kind(
                    cipher, mode, vector, !hashes ? null : given == null ? "sha256" : given, hash);
        }

        int keyLength() {
            int bytes = Integer.parseInt(cipher.substring(4)) / 8;
            return mode.equals("xts") ? 2 * bytes : bytes;
        }

        private String modeText() {
            return mode.equals("ecb")
                    ? mode
                    : mode + "-" + vector + (vectorHash == null ? "" : ":" + vectorHash);
        }

        private DiskCipher cipher(byte[] key) throws BlockException {
            byte[] vectorKey = new byte[0];
            String with = vectorHash;
            if (with != null) {
                try {
                    vectorKey = MessageDigest.getInstance("SHA-" + with.substring(3)).digest(key);
                } catch (NoSuchAlgorithmException e) {
                    throw bad("Hash algorithm '" + with + "' is not supported", e);
                }
            }
            return new DiskCipher(
                    DiskCipher.Mode.valueOf(mode.toUpperCase(Locale.ROOT)),
                    DiskCipher.Vector.valueOf(vector.toUpperCase(Locale.ROOT)),
                    key,
                    vectorKey);
        }

        /** Errors when a disk cannot be encrypted so. */
        void check() throws BlockException {
            if (mode.equals("xts") && cipher.equals("aes-192")) {
                throw bad("XTS needs keys of 128 or 256 bits");
            }
            if (vector.equals("essiv") && vectorHash == null) {
                throw bad("IV generator 'essiv' needs a hash");
            }
            if (vectorHash != null) {
                int length = vectorHash.equals("sha1") ? 20 : hashLength(vectorHash);
                if (length != 16 && length != 24 && length != 32) {
                    throw bad("AES takes no hash of '" + vectorHash + "' as its key");
                }
            }
        }

        private static int hashLength(String hash) {
            return Integer.parseInt(hash.substring(3)) / 8;
        }
    }

    private LuksHeader(
            Kind kind,
            long payloadOffset,
            long rounds,
            String uuid,
            List<Slot> slots,
            byte[] digest,
            byte[] salt) {
        this.kind = kind;
        this.payloadOffset = payloadOffset;
        this.rounds = rounds;
        this.uuid = uuid;
        this.slots = List.copyOf(slots);
        this.digest = digest;
        this.salt = salt;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    private static BlockException bad(String message, Exception cause) {
        return new BlockException(Errno.EINVAL, message, cause);
    }

    public Kind kind() {
        return kind;
    }

    /** Where the disk begins, in bytes from the header's start: the length of all that belongs to the header. */
    public long payloadOffset() {
        return payloadOffset;
    }

    /** How often the key was hashed for its digest. */
    public long rounds() {
        return rounds;
    }

    public String uuid() {
        return uuid;
    }

    public List<Slot> slots() {
        return slots;
    }

    /** Whether bytes begin as a header does. */
    public static boolean begins(MemorySegment bytes) {
        return bytes.byteSize() >= MAGIC.length + 2
                && bytes.asSlice(0, MAGIC.length).mismatch(MemorySegment.ofArray(MAGIC)) < 0
                && bytes.get(ValueLayout.JAVA_BYTE, 6) == 0
                && bytes.get(ValueLayout.JAVA_BYTE, 7) == VERSION;
    }

    /** Reads and checks a header. */
    public static LuksHeader read(Storage storage) throws BlockException {
        byte[] bytes = new byte[LENGTH];
        storage.read(0, MemorySegment.ofArray(bytes));
        ByteBuffer h = ByteBuffer.wrap(bytes);
        if (!Arrays.equals(MAGIC, Arrays.copyOf(bytes, MAGIC.length))) {
            throw bad("Volume is not in LUKS format");
        }
        int version = h.getShort(MAGIC.length) & 0xffff;
        if (version != VERSION) {
            throw new BlockException(
                    Errno.ENOTSUP, "LUKS version " + version + " is not supported");
        }
        int keyLength = h.getInt(KEY_LENGTH_AT);
        Kind kind =
                kind(
                        text(bytes, CIPHER_AT, TEXT, "cipher name"),
                        text(bytes, MODE_AT, TEXT, "cipher mode"),
                        text(bytes, HASH_AT, TEXT, "hash spec"),
                        keyLength);
        long rounds = Integer.toUnsignedLong(h.getInt(ROUNDS_AT));
        if (rounds == 0) {
            throw bad("LUKS key iteration count is zero");
        }
        long payload = Integer.toUnsignedLong(h.getInt(PAYLOAD_AT)) * DiskCipher.SECTOR;
        List<Slot> slots = new ArrayList<>();
        for (int i = 0; i < SLOTS; i++) {
            slots.add(slot(h, i, (long) keyLength * STRIPES, payload));
        }
        for (int i = 0; i < SLOTS; i++) {
            for (int j = 0; j < i; j++) {
                if (Math.abs(slots.get(i).keyOffset - slots.get(j).keyOffset)
                        < (long) keyLength * STRIPES) {
                    throw bad("Keyslots " + j + " and " + i + " are overlapping in the header");
                }
            }
        }
        return new LuksHeader(
                kind,
                payload,
                rounds,
                text(bytes, UUID_AT, UUID_LENGTH, "uuid"),
                slots,
                Arrays.copyOfRange(bytes, DIGEST_AT, DIGEST_AT + DIGEST_LENGTH),
                Arrays.copyOfRange(bytes, SALT_AT, SALT_AT + SALT_LENGTH));
    }

    private static Slot slot(ByteBuffer h, int number, long bytes, long payload)
            throws BlockException {
        int at = SLOTS_AT + number * SLOT_LENGTH;
        int state = h.getInt(at);
        if (state != ACTIVE && state != DISABLED) {
            throw bad("Keyslot " + number + " state (active/disable) is corrupted");
        }
        long rounds = Integer.toUnsignedLong(h.getInt(at + 4));
        long offset = Integer.toUnsignedLong(h.getInt(at + 40)) * DiskCipher.SECTOR;
        int stripes = h.getInt(at + 44);
        if (stripes != STRIPES) {
            throw bad("Keyslot " + number + " is corrupted (stripes " + stripes + " != 4000)");
        }
        if (offset < LENGTH) {
            throw bad("Keyslot " + number + " is overlapping with the LUKS header");
        }
        if (state == ACTIVE && rounds == 0) {
            throw bad("Keyslot " + number + " iteration count is zero");
        }
        if (offset + bytes > payload) {
            throw bad("Keyslot " + number + " is overlapping with the encrypted payload");
        }
        byte[] salt = new byte[SALT_LENGTH];
        h.get(at + 8, salt);
        return new Slot(state == ACTIVE, rounds, stripes, offset, MemorySegment.ofArray(salt));
    }

    private static String text(byte[] bytes, int at, int length, String what)
            throws BlockException {
        for (int i = 0; i < length; i++) {
            if (bytes[at + i] == 0) {
                return new String(bytes, at, i, StandardCharsets.US_ASCII);
            }
        }
        throw bad("LUKS header " + what + " is not NUL terminated");
    }

    private static Kind kind(String cipher, String modeText, String hash, int keyLength)
            throws BlockException {
        String mode = modeText;
        String vector = "plain64";
        String vectorHash = null;
        int dash = modeText.indexOf('-');
        if (dash >= 0) {
            mode = modeText.substring(0, dash);
            vector = modeText.substring(dash + 1);
            int colon = vector.indexOf(':');
            if (colon >= 0) {
                vectorHash = vector.substring(colon + 1);
                vector = vector.substring(0, colon);
            }
        } else if (!mode.equals("ecb")) {
            throw bad("Unexpected cipher mode string format '" + modeText + "'");
        }
        if (!List.of("ecb", "cbc", "xts").contains(mode)) {
            throw bad("Cipher mode '" + mode + "' is not supported");
        }
        if (!List.of("plain", "plain64", "essiv").contains(vector)) {
            throw bad("IV generator '" + vector + "' is not supported");
        }
        if (!HASHES.contains(hash)) {
            throw bad("Hash algorithm '" + hash + "' is not supported");
        }
        if (vectorHash != null && !HASHES.contains(vectorHash)) {
            throw bad("Hash algorithm '" + vectorHash + "' is not supported");
        }
        int bits = (mode.equals("xts") ? keyLength / 2 : keyLength) * 8;
        boolean fits = keyLength > 0 && keyLength <= KEY_MAX && keyLength % 8 == 0;
        if (!cipher.equals("aes") || !fits || bits != 128 && bits != 192 && bits != 256) {
            throw bad(
                    "Algorithm '" + cipher + "' with key size " + keyLength + " is not supported");
        }
        Kind kind =
                new Kind(
                        "aes-" + bits,
                        mode,
                        vector,
                        vector.equals("essiv") ? vectorHash : null,
                        hash);
        kind.check();
        return kind;
    }

    private static void checkText(byte[] password, String id) throws BlockException {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(password));
        } catch (CharacterCodingException e) {
            throw bad("Data from secret " + id + " is not valid UTF-8", e);
        }
    }

    private static void checkEffort(long rounds) throws BlockException {
        if (rounds > ROUNDS_MAX) {
            throw bad("PBKDF iterations " + rounds + " are more than " + ROUNDS_MAX);
        }
    }

    /**
     * Finds the key by a password.
     *
     * @param id of the secret, for what is said of it
     */
    public DiskCipher unlock(Storage storage, byte[] password, String id) throws BlockException {
        checkText(password, id);
        long effort =
                slots.stream().filter(Slot::active).mapToLong(slot -> slot.rounds + rounds).sum();
        checkEffort(effort);
        KeyDerivation derivation = new KeyDerivation(kind.hash);
        int length = kind.keyLength();
        for (Slot slot : slots) {
            if (!slot.active) {
                continue;
            }
            byte[] stripes =
                    new byte[length * STRIPES]; // whole sectors: lengths are multiples of 16
            storage.read(slot.keyOffset, MemorySegment.ofArray(stripes));
            byte[] opener =
                    derivation.derive(
                            password,
                            slot.salt.toArray(ValueLayout.JAVA_BYTE),
                            slot.rounds,
                            length);
            kind.cipher(opener).decrypt(0, MemorySegment.ofArray(stripes));
            byte[] key = derivation.merge(stripes, length);
            if (MessageDigest.isEqual(
                    digest, derivation.derive(key, salt, rounds, DIGEST_LENGTH))) {
                return kind.cipher(key);
            }
        }
        throw new BlockException(Errno.EPERM, "Invalid password, cannot unlock any keyslot");
    }

    /** Milliseconds that hashing a password takes where nobody says otherwise. */
    public static final long ITERATION_TIME = 2000;

    /** A new header. */
    public record Fresh(MemorySegment bytes, DiskCipher cipher) {}

    /**
     * Makes the header of a new volume with one password.
     *
     * @param milliseconds that hashing the password shall take
     * @return all bytes in front of the disk
     */
    public static Fresh create(Kind kind, byte[] password, String id, long milliseconds)
            throws BlockException {
        checkText(password, id);
        kind.check();
        if (milliseconds <= 0) {
            throw bad("iter-time must be positive");
        }
        SecureRandom random = new SecureRandom();
        KeyDerivation derivation = new KeyDerivation(kind.hash);
        int length = kind.keyLength();
        int slotBytes = length * STRIPES + ALIGNMENT - 1 & -ALIGNMENT;
        byte[] bytes = new byte[ALIGNMENT + SLOTS * slotBytes];
        byte[] key = bytes(random, length);
        long rounds = derivation.rounds(milliseconds, length);
        if (rounds > 0xffffffffL) {
            throw bad("PBKDF iterations " + rounds + " larger than 4294967295");
        }
        checkEffort(rounds + rounds / 8);
        long slotRounds = Math.max(ROUNDS_MIN, rounds);
        long digestRounds = Math.max(ROUNDS_MIN, rounds / 8);
        ByteBuffer h = ByteBuffer.wrap(bytes);
        h.put(0, MAGIC);
        h.putShort(MAGIC.length, (short) VERSION);
        put(h, CIPHER_AT, "aes");
        put(h, MODE_AT, kind.modeText());
        put(h, HASH_AT, kind.hash);
        h.putInt(PAYLOAD_AT, bytes.length / DiskCipher.SECTOR);
        h.putInt(KEY_LENGTH_AT, length);
        byte[] salt = bytes(random, SALT_LENGTH);
        h.put(DIGEST_AT, derivation.derive(key, salt, digestRounds, DIGEST_LENGTH));
        h.put(SALT_AT, salt);
        h.putInt(ROUNDS_AT, (int) digestRounds);
        put(h, UUID_AT, UUID.randomUUID().toString());
        for (int i = 0; i < SLOTS; i++) {
            int at = SLOTS_AT + i * SLOT_LENGTH;
            h.putInt(at, DISABLED);
            h.putInt(at + 40, (ALIGNMENT + i * slotBytes) / DiskCipher.SECTOR);
            h.putInt(at + 44, STRIPES);
        }
        byte[] slotSalt = bytes(random, SALT_LENGTH);
        byte[] stripes = bytes(random, length * STRIPES);
        derivation.split(key, stripes);
        byte[] opener = derivation.derive(password, slotSalt, slotRounds, length);
        kind.cipher(opener).encrypt(0, MemorySegment.ofArray(stripes));
        h.putInt(SLOTS_AT, ACTIVE);
        h.putInt(SLOTS_AT + 4, (int) slotRounds);
        h.put(SLOTS_AT + 8, slotSalt);
        h.put(ALIGNMENT, stripes);
        return new Fresh(MemorySegment.ofArray(bytes), kind.cipher(key));
    }

    private static byte[] bytes(SecureRandom random, int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    private static void put(ByteBuffer h, int at, String text) {
        h.put(at, text.getBytes(StandardCharsets.US_ASCII));
    }
}
