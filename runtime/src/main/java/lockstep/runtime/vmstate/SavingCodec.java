package lockstep.runtime.vmstate;

/** Writes sections to a {@link StateOutput} and their description to a {@link Description}. */
public final class SavingCodec implements StateCodec {
    private final StateOutput out;
    private final Description json;
    private int version;

    /** Appends to both. Use {@link Description#none()} where no description is wanted. */
    public SavingCodec(StateOutput out, Description json) {
        this.out = out;
        this.json = json;
    }

    /**
     * Writes one whole FULL section: header, content, footer.
     *
     * @param id the section id, unique in the stream
     */
    public void section(int id, StateSection section) throws StateException {
        section.beforeSave();
        version = section.version();
        out.u8(0x04);
        out.u32(id);
        out.name(section.name());
        out.u32(section.instance());
        out.u32(version);
        json.beginDevice(section.name(), section.instance(), version);
        section.describe(this);
        json.endDevice();
        out.u8(0x7e);
        out.u32(id);
    }

    /** Writes a description in place, without header and footer: the configuration item. */
    public void inPlace(StateSection section) throws StateException {
        version = section.version();
        section.describe(this);
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
        out.u8(value ? 1 : 0);
        json.field(name, "bool", 1);
        return value;
    }

    @Override
    public int u8(String name, int value) {
        out.u8(value);
        json.field(name, "uint8", 1);
        return value;
    }

    @Override
    public int i8(String name, int value) {
        out.u8(value);
        json.field(name, "int8", 1);
        return value;
    }

    @Override
    public int u16(String name, int value) {
        out.u16(value);
        json.field(name, "uint16", 2);
        return value;
    }

    @Override
    public int i16(String name, int value) {
        out.u16(value);
        json.field(name, "int16", 2);
        return value;
    }

    @Override
    public int u32(String name, int value) {
        out.u32(value);
        json.field(name, "uint32", 4);
        return value;
    }

    @Override
    public int i32(String name, int value) {
        out.u32(value);
        json.field(name, "int32", 4);
        return value;
    }

    @Override
    public long u64(String name, long value) {
        out.u64(value);
        json.field(name, "uint64", 8);
        return value;
    }

    @Override
    public long i64(String name, long value) {
        out.u64(value);
        json.field(name, "int64", 8);
        return value;
    }

    @Override
    public long timer(String name, long deadline) {
        out.u64(deadline);
        json.field(name, "timer", 8);
        return deadline;
    }

    @Override
    public void bytes(String name, byte[] value) {
        out.bytes(value, 0, value.length);
        json.field(name, "buffer", value.length);
    }

    @Override
    public void u8s(String name, int[] values) {
        for (int v : values) {
            out.u8(v);
        }
        json.array(name, "uint8", 1, values.length);
    }

    @Override
    public void u16s(String name, int[] values) {
        for (int v : values) {
            out.u16(v);
        }
        json.array(name, "uint16", 2, values.length);
    }

    @Override
    public void u32s(String name, int[] values) {
        out.u32s(values);
        json.array(name, "uint32", 4, values.length);
    }

    @Override
    public void i32s(String name, int[] values) {
        out.u32s(values);
        json.array(name, "int32", 4, values.length);
    }

    @Override
    public void u64s(String name, long[] values) {
        for (long v : values) {
            out.u64(v);
        }
        json.array(name, "uint64", 8, values.length);
    }

    @Override
    public void pad(String name, int count) {
        out.zeros(count);
        json.field(name, "unused_buffer", count);
    }

    @Override
    public void equalU8(String name, int local) {
        out.u8(local);
        json.field(name, "uint8 equal", 1);
    }

    @Override
    public void equalI32(String name, int local) {
        out.u32(local);
        json.field(name, "int32 equal", 4);
    }

    @Override
    public void struct(String name, String vmsd, int version, Body body) throws StateException {
        int before = out.size();
        json.beginStruct(name, -1, vmsd, version);
        body.describe(this);
        json.endStruct(out.size() - before);
    }

    @Override
    public void structs(String name, String vmsd, int version, int count, Element body)
            throws StateException {
        for (int i = 0; i < count; i++) {
            int before = out.size();
            json.beginStruct(name, i, vmsd, version);
            body.describe(this, i);
            json.endStruct(out.size() - before);
        }
    }

    @Override
    public boolean subsection(String name, int version, boolean needed, Body body)
            throws StateException {
        if (!needed) {
            return false;
        }
        out.u8(0x05);
        out.name(name);
        out.u32(version);
        json.beginSubsection(name, version);
        body.describe(this);
        json.endSubsection();
        return true;
    }
}
