package lockstep.runtime.migration;

import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Arrays;

/**
 * The device state of a checkpoint as what changed since the checkpoint before, which both ends keep: what a device did not
 * change costs nothing on the way. Two Lockstep speak so when both have said that they can (the primary in the description
 * at the end of the migration, which a QEMU skips; the secondary, told so, in its first message); to a QEMU all sections go
 * whole, as always.
 *
 * <p>The wire, big endian: a byte that says whether what follows refers to the last checkpoint (1) or to nothing (0), the
 * number of sections (16 bits), then each section that is not what it was: its place among the sections, counted from 1 (16
 * bits), its length (32 bits), and until that is reached pairs of runs: how many bytes are those of the old section at this
 * place (32 bits), how many are new (32 bits), the new ones. A place of 0 ends it. Sections are whole items of a migration
 * stream, from type to footer.
 */
final class DeviceChanges {
    private static final int FROM_NOTHING = 0;
    private static final int FROM_LAST = 1;
    private static final int MOST_SECTIONS = 0xffff;

    /** A run of equal bytes that is shorter is not worth the two numbers in front of the next. */
    private static final int WORTH = 16;

    private DeviceChanges() {}

    /** The sections of one checkpoint, in memory. */
    static final class Sections {
        final StateOutput bytes = new StateOutput(1 << 16);
        private int[] ids = new int[64];
        private int[] ends = new int[64];
        private int count;

        /** Forgets them. */
        void clear() {
            bytes.clear();
            count = 0;
        }

        /** The section of that id ends here. */
        void ended(int id) {
            if (count == ids.length) {
                ids = Arrays.copyOf(ids, count * 2);
                ends = Arrays.copyOf(ends, count * 2);
            }
            ids[count] = id;
            ends[count++] = bytes.size();
        }

        private int start(int section) {
            return section == 0 ? 0 : ends[section - 1];
        }

        private int length(int section) {
            return ends[section] - start(section);
        }

        private boolean sameAs(Sections other) {
            return count == other.count
                    && Arrays.equals(ids, 0, count, other.ids, 0, count)
                    && count <= MOST_SECTIONS;
        }
    }

    /** The end that sends. Not thread-safe. */
    static final class Sender {
        private Sections last = new Sections();
        private Sections now = new Sections();
        private final StateOutput out = new StateOutput(1 << 12);

        /** Where the sections of the next checkpoint go, empty. */
        Sections next() {
            now.clear();
            return now;
        }

        /** What is to be sent for them; valid until the next call. From now on the peer is taken to have them. */
        StateOutput changes() {
            out.clear();
            boolean known = now.sameAs(last);
            out.u8(known ? FROM_LAST : FROM_NOTHING);
            out.u16(now.count);
            for (int i = 0; i < now.count; i++) {
                section(i, known ? last.length(i) : 0);
            }
            out.u16(0);
            Sections sent = now;
            now = last;
            last = sent;
            return out;
        }

        private void section(int i, int oldLength) {
            int length = now.length(i);
            int at = 0;
            int equal = equal(i, at, Math.min(oldLength, length));
            if (equal == length && length == oldLength) {
                return;
            }
            out.u16(i + 1);
            out.u32(length);
            while (at < length) {
                int from = at + equal;
                int to = from;
                int next = 0;
                while (to < length) {
                    next = equal(i, to, Math.min(oldLength, length));
                    if (next >= WORTH) {
                        break;
                    }
                    to += Math.max(1, next);
                }
                out.u32(equal);
                out.u32(to - from);
                out.bytes(now.bytes, now.start(i) + from, to - from);
                at = to;
                equal = next;
            }
        }

        /** How many bytes from {@code at} on are those of the last checkpoint, up to {@code end} in the section. */
        private int equal(int i, int at, int end) {
            return at >= end
                    ? 0
                    : now.bytes.equal(now.start(i) + at, last.bytes, last.start(i) + at, end - at);
        }
    }

    /** The end that receives. The bytes come from outside. Not thread-safe. */
    static final class Receiver {
        private final int most;
        private byte[][] sections = new byte[0][];

        /**
         * Nothing was received.
         *
         * @param most the most bytes that the sections may have together
         */
        Receiver(int most) {
            this.most = most;
        }

        /**
         * Takes the changes and gives the sections of this checkpoint.
         *
         * @throws IOException when they are not what a sender writes; nothing was taken then
         */
        ColoTarget.Devices take(byte[] changes) throws IOException {
            StateInput in = new StateInput(new ByteArrayInputStream(changes));
            boolean known = in.u8() == FROM_LAST;
            int count = in.u16();
            if (known && count != sections.length) {
                throw invalid("%d sections after %d".formatted(count, sections.length));
            }
            byte[][] now = known ? sections.clone() : new byte[count][];
            StateOutput changed = new StateOutput(changes.length);
            for (int place = in.u16(); place != 0; place = in.u16()) {
                if (place > count) {
                    throw invalid("section %d of %d".formatted(place, count));
                }
                byte[] old = known ? sections[place - 1] : new byte[0];
                byte[] section = section(in, old, changes.length);
                now[place - 1] = section;
                changed.bytes(section, 0, section.length);
            }
            if (in.position() != changes.length) {
                throw invalid((changes.length - in.position()) + " bytes behind the end");
            }
            long size = 1;
            for (byte[] section : now) {
                if (section == null) {
                    throw invalid("a section that never came");
                }
                size += section.length;
            }
            if (size > most) {
                throw invalid(size + " bytes");
            }
            StateOutput all = new StateOutput((int) size);
            for (byte[] section : now) {
                all.bytes(section, 0, section.length);
            }
            all.u8(StreamFormat.EOF);
            changed.u8(StreamFormat.EOF);
            sections = now;
            return new ColoTarget.Devices(all.toByteArray(), changed.toByteArray());
        }

        private byte[] section(StateInput in, byte[] old, int more) throws IOException {
            int length = in.u32();
            if (length < 0 || length > (long) old.length + more) {
                throw invalid((length & 0xffff_ffffL) + " bytes in a section");
            }
            byte[] section = new byte[length];
            for (int at = 0; at < length; ) {
                int same = in.u32();
                int fresh = in.u32();
                if (same < 0
                        || fresh < 0
                        || same + (long) fresh == 0
                        || at + (long) same + fresh > length
                        || (same > 0 && at + (long) same > old.length)) {
                    throw invalid("a run beyond the end of a section");
                }
                if (same > 0) {
                    System.arraycopy(old, at, section, at, same);
                }
                in.bytes(section, at + same, fresh);
                at += same + fresh;
            }
            return section;
        }

        private static IOException invalid(String what) {
            return new IOException("The primary's device state has " + what + ", which cannot be");
        }
    }
}
