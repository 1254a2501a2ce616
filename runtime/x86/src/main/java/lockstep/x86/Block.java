package lockstep.x86;

import org.jspecify.annotations.Nullable;

/** Instructions that run one after the other, from one page of code (or one that reaches into the next page). */
final class Block {
    final Op[] ops;

    /** Bytes of all of them. */
    final int length;

    /** The mode that they were decoded for. */
    final int mode;

    /** Where the first one is in its page. */
    final int offset;

    /** The number of the page of the host's memory under which it is kept; -1: it is not. */
    long hostPage = -1;

    /** The next block of its page in the same bucket. */
    @Nullable Block next;

    /** For {@link #taken}: the last instruction jumps nowhere that is known. */
    static final int NOWHERE = Integer.MIN_VALUE;

    /** Where the last instruction may jump to, from the block's start. */
    final int taken;

    /** Whether what follows may run right after it. */
    final boolean falls;

    /** Taken out of use. */
    boolean dead;

    /** Times it was interpreted. */
    int runs;

    /** Whether the last instruction calls, so that it will be returned to what follows. */
    final boolean calls;

    /** Whether it has, or will have, a {@link #trace}. */
    boolean translated;

    /** Its number in {@link #trace}. */
    int entry;

    /** Its translation, together with blocks around it; null as long as there is none. Set by the translator's thread. */
    volatile @Nullable Trace trace;

    Block(
            Op[] ops,
            int length,
            int mode,
            int offset,
            int taken,
            boolean falls,
            boolean calls) {
        this.ops = ops;
        this.length = length;
        this.mode = mode;
        this.offset = offset;
        this.taken = taken;
        this.falls = falls;
        this.calls = calls;
    }

    /** Whether another block of its page may run right after it, or after what it calls. */
    boolean leadsTo(Block b) {
        return taken != NOWHERE && b.offset == offset + taken
                || (falls || calls) && b.offset == offset + length;
    }
}
