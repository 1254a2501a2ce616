package lockstep.runtime.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Set;

/** The section of a vCPU carries all of it, and what a sender leaves out has its default afterwards. */
final class VcpuSectionTest {
    private static final int VERSION = 12;

    /** Not of the stream, but of the vCPU's model; and what is sent from within a nested guest only. */
    private static final Set<String> STAY =
            Set.of(
                    "physicalBits",
                    "sendsErrorCode",
                    "exceptionPending",
                    "exceptionInjected",
                    "exceptionHasPayload",
                    "exceptionPayload");

    private record Section(VcpuState state) implements StateSection {
        @Override
        public String name() {
            return "cpu";
        }

        @Override
        public int version() {
            return VERSION;
        }

        @Override
        public void describe(StateCodec c) throws StateException {
            state.describe(c);
        }
    }

    private static VcpuState travelled(VcpuState from, VcpuState to) throws StateException {
        StateOutput out = new StateOutput(4096);
        new SavingCodec(out, Description.none()).inPlace(new Section(from));
        StateInput in = new StateInput(new ByteArrayInputStream(out.toByteArray()));
        new LoadingCodec(in).content(new Section(to), VERSION);
        return to;
    }

    /** Other than a reset leaves it, in each field, and within what a small field carries. */
    private static VcpuState full(int seed) throws IllegalAccessException {
        VcpuState state = new VcpuState();
        int n = seed;
        for (Field f : fields()) {
            n += 2;
            if (f.getType() == int.class) {
                f.setInt(state, n & 0x7f);
            } else if (f.getType() == long.class) {
                f.setLong(state, n);
            } else if (f.getType() == boolean.class) {
                f.setBoolean(state, true);
            } else if (f.get(state) instanceof VcpuState.Segment s) {
                s.set(n, n + 1, n + 2, VcpuState.PRESENT);
            } else if (f.get(state) instanceof VcpuState.Segment[] all) {
                for (VcpuState.Segment s : all) {
                    n += 4;
                    s.set(n, n + 1, n + 2, VcpuState.PRESENT);
                }
            } else {
                for (int i = 0; i < Array.getLength(f.get(state)); i++) {
                    setNumber(f.get(state), i, ++n & 0x7fff);
                }
            }
        }
        state.cr0 = 1;
        state.mpState = VcpuState.HALTED;
        state.exceptionNumber = -1;
        state.shadows(true, true);
        state.deriveFlags();
        return state;
    }

    private static void setNumber(Object array, int at, int value) {
        if (array instanceof int[] ints) {
            ints[at] = value;
        } else {
            ((long[]) array)[at] = value;
        }
    }

    private static Iterable<Field> fields() {
        return () ->
                Arrays.stream(VcpuState.class.getFields())
                        .filter(f -> !Modifier.isStatic(f.getModifiers()))
                        .iterator();
    }

    private static long[] segment(VcpuState.Segment s) {
        return new long[] {s.selector, s.base, s.limit, s.flags};
    }

    private static void assertSame(VcpuState expected, VcpuState state)
            throws IllegalAccessException {
        for (Field f : fields()) {
            if (STAY.contains(f.getName())) {
                continue;
            }
            Object want = f.get(expected);
            Object is = f.get(state);
            if (want instanceof VcpuState.Segment s) {
                assertArrayEquals(segment(s), segment((VcpuState.Segment) is), f.getName());
            } else if (want instanceof VcpuState.Segment[] all) {
                for (int i = 0; i < all.length; i++) {
                    long[] other = segment(((VcpuState.Segment[]) is)[i]);
                    assertArrayEquals(segment(all[i]), other, f.getName() + i);
                }
            } else if (want instanceof long[] longs) {
                assertArrayEquals(longs, (long[]) is, f.getName());
            } else if (want instanceof int[] ints) {
                assertArrayEquals(ints, (int[]) is, f.getName());
            } else {
                assertEquals(want, is, f.getName());
            }
        }
    }

    @Test
    void everyFieldTravels() throws Exception {
        VcpuState from = full(3);
        assertSame(from, travelled(from, new VcpuState()));
        assertSame(from, travelled(from, full(1000)));
    }

    @Test
    void whatIsLeftOutHasItsDefault() throws Exception {
        VcpuState from = new VcpuState();
        from.reset(0x663, true);
        from.deriveFlags();
        VcpuState to = full(7);
        from.tscKhz = 0;
        long own = to.tscKhz;
        travelled(from, to);
        assertEquals(own, to.tscKhz, "who does not say a rate leaves the counter's as it is");
        to.tscKhz = 0;
        assertSame(from, to);
    }

    @Test
    void anErrorCodeTravelsBetweenMachinesThatKnowItsPart() throws Exception {
        VcpuState from = full(3);
        from.errorCode = 0x1234;
        from.sendsErrorCode = false;
        assertEquals(0, travelled(from, full(9)).errorCode);
        from.sendsErrorCode = true;
        assertEquals(0x1234, travelled(from, full(9)).errorCode);
        from.hasErrorCode = 0;
        assertEquals(0, travelled(from, full(9)).errorCode);
    }
}
