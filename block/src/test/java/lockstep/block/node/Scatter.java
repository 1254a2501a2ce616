package lockstep.block.node;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Makes up memory in pieces: some large, many small, out of order, with gaps, of several owners. */
final class Scatter {
    private static final int LONGEST_GAP = 5;

    private final Random random;
    private final List<MemorySegment> owners;

    /**
     * Makes them up.
     *
     * @param owners where the pieces are, most of them in the first
     */
    Scatter(Random random, MemorySegment... owners) {
        this.random = random;
        this.owners = List.of(owners);
    }

    /** From 1 to 2000 pieces that do not overlap, some of which may be empty. */
    List<MemorySegment> next() {
        int unit = 1 << random.nextInt(14);
        int most = random.nextBoolean() ? 1 + random.nextInt(4) : 2000;
        boolean equal = random.nextBoolean();
        boolean mixed = random.nextInt(4) == 0;
        List<MemorySegment> pieces = new ArrayList<>();
        long[] used = new long[owners.size()];
        for (int i = 0; i < most; i++) {
            int which = mixed && random.nextInt(3) == 0 ? random.nextInt(used.length) : 0;
            long size = equal ? unit : random.nextInt(unit + 1);
            long at = used[which] + random.nextInt(LONGEST_GAP);
            if (at + size > owners.get(which).byteSize()) {
                break;
            }
            pieces.add(owners.get(which).asSlice(at, size));
            used[which] = at + size;
        }
        Collections.shuffle(pieces, random);
        return pieces;
    }

    /** Fills all memory with the same. */
    void clear() {
        owners.forEach(owner -> owner.fill((byte) 0x55));
    }

    /** Fills pieces. */
    static void put(List<MemorySegment> pieces, byte[] data) {
        int at = 0;
        for (MemorySegment piece : pieces) {
            int size = (int) piece.byteSize();
            MemorySegment.copy(data, at, piece, ValueLayout.JAVA_BYTE, 0, size);
            at += size;
        }
    }

    /** What is in all memory. */
    byte[] all() {
        byte[] bytes = new byte[0];
        for (MemorySegment owner : owners) {
            byte[] more = owner.toArray(ValueLayout.JAVA_BYTE);
            int size = bytes.length;
            bytes = Arrays.copyOf(bytes, size + more.length);
            System.arraycopy(more, 0, bytes, size, more.length);
        }
        return bytes;
    }
}
