package lockstep.x86;

import lockstep.x86.Templates.Template;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * What is known of a trace before anything of it is written: how its blocks lead to each other, and which registers
 * differ from those in the processor where. Registers are bits of a word.
 */
final class TracePlan {
    /** Whether instructions may become bytecode: in 64-bit mode. */
    final boolean wide;

    /** By block: the registers that may differ from those in the processor when it begins. */
    final int[] dirtyAtStart;

    /** By block: how many ways lead there from inside. */
    final int[] ways;

    private final List<Block> blocks;
    private int used;
    private int changed;

    TracePlan(List<Block> blocks) {
        this.blocks = blocks;
        wide = (blocks.getFirst().mode & 3) == 2;
        dirtyAtStart = new int[blocks.size()];
        ways = new int[blocks.size()];
        for (Block b : blocks) {
            for (Op o : b.ops) {
                Template t = template(o);
                if (t != null) {
                    used |= t.reads(o) | t.writes(o);
                    changed |= t.writes(o);
                }
            }
            for (int next : nextOf(b)) {
                ways[next]++;
            }
        }
        boolean again = true;
        while (again) {
            again = false;
            for (int i = 0; i < dirtyAtStart.length; i++) {
                int dirty = dirtyAtStart[i];
                for (Op o : blocks.get(i).ops) {
                    Template t = template(o);
                    dirty = t == null ? 0 : dirty | t.writes(o);
                }
                for (int next : nextOf(blocks.get(i))) {
                    again |= (dirty & ~dirtyAtStart[next]) != 0;
                    dirtyAtStart[next] |= dirty;
                }
            }
        }
    }

    /** Registers that are kept in locals. */
    int used() {
        return used;
    }

    /** Those of them that are changed somewhere. */
    int changed() {
        return changed;
    }

    @Nullable Template template(Op o) {
        return wide ? Templates.of(o) : null;
    }

    /** A block's distance from the first one's start. */
    int delta(Block b) {
        return b.offset - blocks.getFirst().offset;
    }

    /** The number of the block at an offset in its page, or -1. */
    int find(int offset) {
        for (int i = 0; i < blocks.size(); i++) {
            if (blocks.get(i).offset == offset) {
                return i;
            }
        }
        return -1;
    }

    /** The blocks in here to which a block's end may lead. */
    List<Integer> nextOf(Block b) {
        List<Integer> all = new ArrayList<>(2);
        if (b.taken != Block.NOWHERE && find(b.offset + b.taken) >= 0) {
            all.add(find(b.offset + b.taken));
        }
        if (b.falls && find(b.offset + b.length) >= 0) {
            all.add(find(b.offset + b.length));
        }
        return all;
    }

    /** Whether a trace of these blocks can be entered at one: not where flags are looked at first thing, but for the first. */
    static boolean isEntry(List<Block> blocks, int number) {
        Block b = blocks.get(number);
        if (number == 0 || (b.mode & 3) != 2) {
            return true;
        }
        Template t = Templates.of(b.ops[0]);
        return t == null || !t.readsFlags(b.ops[0]);
    }
}
