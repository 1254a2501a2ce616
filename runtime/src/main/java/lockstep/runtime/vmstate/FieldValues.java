package lockstep.runtime.vmstate;

import java.util.HashMap;
import java.util.Map;

/** The fields of a section by their names, for people to look at. Parts that are not always there are left out. */
public final class FieldValues implements StateCodec {
    private final Map<String, Long> single = new HashMap<>();
    private final Map<String, long[]> arrays = new HashMap<>();
    private final int version;

    private FieldValues(int version) {
        this.version = version;
    }

    /** What a section would write now. Under the machine lock. */
    public static FieldValues of(StateSection section) throws StateException {
        FieldValues values = new FieldValues(section.version());
        section.beforeSave();
        section.describe(values);
        return values;
    }

    /** A field of one number, cut to what the stream has of it; 0 where there is none of that name. */
    public long get(String name) {
        return single.getOrDefault(name, 0L);
    }

    /** A field of several numbers likewise; empty where there is none of that name. */
    public long[] array(String name) {
        return arrays.getOrDefault(name, new long[0]).clone();
    }

    private long note(String name, long value) {
        single.put(name, value);
        return value;
    }

    private void note(String name, int[] values, long mask) {
        long[] copy = new long[values.length];
        for (int i = 0; i < copy.length; i++) {
            copy[i] = values[i] & mask;
        }
        arrays.put(name, copy);
    }

    @Override
    public boolean loading() {
        return false;
    }

    @Override
    public int version() {
        return version;
    }

    @Override
    public boolean bool(String name, boolean value) {
        note(name, value ? 1 : 0);
        return value;
    }

    @Override
    public int u8(String name, int value) {
        note(name, value & 0xff);
        return value;
    }

    @Override
    public int i8(String name, int value) {
        note(name, (byte) value);
        return value;
    }

    @Override
    public int u16(String name, int value) {
        note(name, value & 0xffff);
        return value;
    }

    @Override
    public int i16(String name, int value) {
        note(name, (short) value);
        return value;
    }

    @Override
    public int u32(String name, int value) {
        note(name, Integer.toUnsignedLong(value));
        return value;
    }

    @Override
    public int i32(String name, int value) {
        note(name, value);
        return value;
    }

    @Override
    public long u64(String name, long value) {
        return note(name, value);
    }

    @Override
    public long i64(String name, long value) {
        return note(name, value);
    }

    @Override
    public long timer(String name, long deadline) {
        return note(name, deadline);
    }

    @Override
    public void bytes(String name, byte[] value) {
        long[] copy = new long[value.length];
        for (int i = 0; i < copy.length; i++) {
            copy[i] = value[i] & 0xff;
        }
        arrays.put(name, copy);
    }

    @Override
    public void u8s(String name, int[] values) {
        note(name, values, 0xff);
    }

    @Override
    public void u16s(String name, int[] values) {
        note(name, values, 0xffff);
    }

    @Override
    public void u32s(String name, int[] values) {
        note(name, values, 0xffff_ffffL);
    }

    @Override
    public void i32s(String name, int[] values) {
        note(name, values, -1);
    }

    @Override
    public void u64s(String name, long[] values) {
        arrays.put(name, values.clone());
    }

    @Override
    public void pad(String name, int count) {}

    @Override
    public void equalU8(String name, int local) {
        note(name, local & 0xff);
    }

    @Override
    public void equalI32(String name, int local) {
        note(name, local);
    }

    @Override
    public void struct(String name, String vmsd, int structVersion, Body body) {}

    @Override
    public void structs(String name, String vmsd, int structVersion, int count, Element body) {}

    @Override
    public boolean subsection(String name, int partVersion, boolean needed, Body body) {
        return needed;
    }
}
