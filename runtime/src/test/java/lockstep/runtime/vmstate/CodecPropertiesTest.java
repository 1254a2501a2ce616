package lockstep.runtime.vmstate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;

import java.io.ByteArrayInputStream;
import java.util.Arrays;
import java.util.List;

/**
 * Sections of any make-up: what is saved is loaded, cut to its width; a stream that ends early is
 * refused; other bytes are read or refused, and nothing else.
 */
class CodecPropertiesTest {
    private enum Kind {
        BOOL,
        U8,
        I8,
        U16,
        I16,
        U32,
        I32,
        U64,
        I64,
        TIMER,
        BYTES,
        U8S,
        U16S,
        U32S,
        I32S,
        U64S,
        PAD,
        STRUCT,
        STRUCTS
    }

    /** A section of these fields, with a subsection when there are any more. */
    private static final class Any implements StateSection {
        private final List<Kind> kinds;
        private final List<Kind> more;
        private final long[] values;
        private final boolean needed;
        private boolean found;

        Any(List<Kind> kinds, List<Kind> more, boolean needed, long fill) {
            this.kinds = kinds;
            this.more = more;
            this.needed = needed;
            this.values = new long[kinds.size() + more.size()];
            for (int i = 0; i < values.length; i++) {
                values[i] = fill * (i * 0x9e3779b97f4a7c15L | 1);
            }
        }

        @Override
        public String name() {
            return "any";
        }

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void describe(StateCodec c) throws StateException {
            for (int i = 0; i < kinds.size(); i++) {
                values[i] = field(c, kinds.get(i), values[i]);
            }
            found =
                    c.subsection(
                            "any/more",
                            1,
                            needed,
                            s -> {
                                for (int i = 0; i < more.size(); i++) {
                                    int at = kinds.size() + i;
                                    values[at] = field(s, more.get(i), values[at]);
                                }
                            });
        }

        private static long field(StateCodec c, Kind kind, long value) throws StateException {
            int v = (int) value;
            return switch (kind) {
                case BOOL -> c.bool("f", (value & 1) != 0) ? 1 : 0;
                case U8 -> c.u8("f", v);
                case I8 -> c.i8("f", v);
                case U16 -> c.u16("f", v);
                case I16 -> c.i16("f", v);
                case U32 -> c.u32("f", v);
                case I32 -> c.i32("f", v);
                case U64 -> c.u64("f", value);
                case I64 -> c.i64("f", value);
                case TIMER -> c.timer("f", value);
                case BYTES -> {
                    byte[] bytes = {(byte) value, (byte) (value >> 8), (byte) (value >> 16)};
                    c.bytes("f", bytes);
                    yield bytes[0] & 0xff | (bytes[1] & 0xff) << 8 | (bytes[2] & 0xff) << 16;
                }
                case U8S -> {
                    int[] a = {v & 0xff, v >> 8 & 0xff};
                    c.u8s("f", a);
                    yield a[0] | a[1] << 8;
                }
                case U16S -> {
                    int[] a = {v & 0xffff};
                    c.u16s("f", a);
                    yield a[0];
                }
                case U32S -> {
                    int[] a = {v};
                    c.u32s("f", a);
                    yield a[0];
                }
                case I32S -> {
                    int[] a = {v};
                    c.i32s("f", a);
                    yield a[0];
                }
                case U64S -> {
                    long[] a = {value};
                    c.u64s("f", a);
                    yield a[0];
                }
                case PAD -> {
                    c.pad("f", 3);
                    yield 0;
                }
                case STRUCT -> {
                    long[] inner = {value};
                    c.struct("f", "inner", 1, s -> inner[0] = s.u32("g", (int) inner[0]));
                    yield inner[0];
                }
                case STRUCTS -> {
                    int[] inner = {v & 0xffff, v >>> 16};
                    c.structs("f", "inner", 1, 2, (s, i) -> inner[i] = s.u16("g", inner[i]));
                    yield inner[0] | inner[1] << 16;
                }
            };
        }

        /** What is there after the values went through their fields. */
        private long[] cut() {
            long[] cut = values.clone();
            for (int i = 0; i < cut.length; i++) {
                boolean sent = i < kinds.size() || needed;
                Kind kind = i < kinds.size() ? kinds.get(i) : more.get(i - kinds.size());
                cut[i] =
                        sent
                                ? switch (kind) {
                                    case BOOL -> cut[i] & 1;
                                    case U8 -> cut[i] & 0xff;
                                    case I8 -> (byte) cut[i];
                                    case U16, U16S, U8S -> cut[i] & 0xffff;
                                    case I16 -> (short) cut[i];
                                    case U32, I32, U32S, I32S, STRUCT, STRUCTS -> (int) cut[i];
                                    case BYTES -> cut[i] & 0xffffff;
                                    case PAD -> 0;
                                    case U64, I64, TIMER, U64S -> cut[i];
                                }
                                : 0;
            }
            return cut;
        }
    }

    private static byte[] save(Any section) throws StateException {
        StateOutput out = new StateOutput(16);
        new SavingCodec(out, Description.none()).inPlace(section);
        return out.toByteArray();
    }

    private static void load(Any section, byte[] bytes) throws StateException {
        StateInput in = new StateInput(new ByteArrayInputStream(bytes));
        new LoadingCodec(in).content(section, 1);
    }

    @Property(tries = 500)
    void whatIsSavedIsLoaded(
            @ForAll @Size(max = 12) List<Kind> kinds,
            @ForAll @Size(max = 4) List<Kind> more,
            @ForAll boolean needed,
            @ForAll long fill)
            throws StateException {
        Any from = new Any(kinds, more, needed, fill);
        long[] expected = from.cut();
        byte[] bytes = save(from);
        Any to = new Any(kinds, more, needed, 0);
        load(to, bytes);
        assertArrayEquals(expected, to.values);
        assertEquals(needed, to.found);
    }

    @Property(tries = 300)
    void aStreamThatEndsEarlyIsRefused(
            @ForAll @Size(min = 1, max = 12) List<Kind> kinds, @ForAll long fill)
            throws StateException {
        byte[] bytes = save(new Any(kinds, List.of(), false, fill));
        for (int length = 0; length < bytes.length; length++) {
            byte[] cut = Arrays.copyOf(bytes, length);
            assertThrows(
                    StateException.class, () -> load(new Any(kinds, List.of(), false, 0), cut));
        }
    }

    @Property(tries = 500)
    void anyBytesAreReadOrRefused(
            @ForAll @Size(max = 12) List<Kind> kinds,
            @ForAll @Size(max = 4) List<Kind> more,
            @ForAll @Size(max = 80) byte[] bytes) {
        Any to = new Any(kinds, more, false, 0);
        try {
            load(to, bytes);
        } catch (StateException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
        }
    }
}
