package lockstep.runtime.vmstate;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Reads the content of sections from a {@link StateInput}. The item loop of the migration code has read
 * the header; the footer is left to it as well.
 */
public final class LoadingCodec implements StateCodec {
    private static final int SUBSECTION = 0x05;

    private final StateInput in;
    private final Deque<String> owners = new ArrayDeque<>();

    /** What the section under way was like. */
    private final StateOutput before = new StateOutput(1024);

    private int version;

    /** Reads from {@code in}. */
    public LoadingCodec(StateInput in) {
        this.in = in;
    }

    /**
     * Reads the content of one section. When it is refused, an {@link StateSection#undoable undoable} one
     * is as it was before.
     *
     * @param version the sender's version, already checked against the section's range
     */
    public void content(StateSection section, int version) throws StateException {
        if (!section.undoable()) {
            read(section, version);
            return;
        }
        before.clear();
        new SavingCodec(before, Description.none()).inPlace(section);
        try {
            read(section, version);
        } catch (StateException | RuntimeException e) {
            StateInput old = new StateInput(new ByteArrayInputStream(before.toByteArray()));
            new LoadingCodec(old).read(section, section.version());
            throw e;
        }
    }

    /**
     * Reads the content of one section into the fields of a device to see whether it is taken, and hands nothing over to
     * the kernel. Whoever asks gives the device back what it had, or loads the section again.
     */
    public void trial(StateSection section, int version) throws StateException {
        describe(section, version);
        if (section.undoable()) {
            section.afterLoad(version);
        }
    }

    /** Reads the content of one section, of which nothing is taken back when it is refused. */
    public void read(StateSection section, int version) throws StateException {
        describe(section, version);
        section.afterLoad(version);
    }

    private void describe(StateSection section, int version) throws StateException {
        this.version = version;
        owners.clear();
        // A bus path stands in front of the name, never in front of the subsections' names.
        String name = section.name();
        owners.push(name.substring(name.lastIndexOf('/') + 1));
        section.describe(this);
        noMoreSubsections();
    }

    @Override
    public boolean loading() {
        return true;
    }

    @Override
    public int version() {
        return version;
    }

    private int next8() throws StateException {
        try {
            return in.u8();
        } catch (IOException e) {
            throw broken(e);
        }
    }

    private int next16() throws StateException {
        try {
            return in.u16();
        } catch (IOException e) {
            throw broken(e);
        }
    }

    private int next32() throws StateException {
        try {
            return in.u32();
        } catch (IOException e) {
            throw broken(e);
        }
    }

    private long next64() throws StateException {
        try {
            return in.u64();
        } catch (IOException e) {
            throw broken(e);
        }
    }

    private static StateException broken(IOException e) {
        return e instanceof StateException s ? s : new StateException("stream error: -5", e);
    }

    @Override
    public boolean bool(String name, boolean value) throws StateException {
        return next8() != 0;
    }

    @Override
    public int u8(String name, int value) throws StateException {
        return next8();
    }

    @Override
    public int i8(String name, int value) throws StateException {
        return (byte) next8();
    }

    @Override
    public int u16(String name, int value) throws StateException {
        return next16();
    }

    @Override
    public int i16(String name, int value) throws StateException {
        return (short) next16();
    }

    @Override
    public int u32(String name, int value) throws StateException {
        return next32();
    }

    @Override
    public int i32(String name, int value) throws StateException {
        return next32();
    }

    @Override
    public long u64(String name, long value) throws StateException {
        return next64();
    }

    @Override
    public long i64(String name, long value) throws StateException {
        return next64();
    }

    @Override
    public long timer(String name, long deadline) throws StateException {
        return next64();
    }

    @Override
    public void bytes(String name, byte[] value) throws StateException {
        try {
            in.bytes(value);
        } catch (IOException e) {
            throw broken(e);
        }
    }

    @Override
    public void u8s(String name, int[] values) throws StateException {
        for (int i = 0; i < values.length; i++) {
            values[i] = next8();
        }
    }

    @Override
    public void u16s(String name, int[] values) throws StateException {
        for (int i = 0; i < values.length; i++) {
            values[i] = next16();
        }
    }

    @Override
    public void u32s(String name, int[] values) throws StateException {
        for (int i = 0; i < values.length; i++) {
            values[i] = next32();
        }
    }

    @Override
    public void i32s(String name, int[] values) throws StateException {
        u32s(name, values);
    }

    @Override
    public void u64s(String name, long[] values) throws StateException {
        for (int i = 0; i < values.length; i++) {
            values[i] = next64();
        }
    }

    @Override
    public void pad(String name, int count) throws StateException {
        try {
            in.skip(count);
        } catch (IOException e) {
            throw broken(e);
        }
    }

    @Override
    public void equalU8(String name, int local) throws StateException {
        equal(name, "uint8 equal", next8(), local & 0xff);
    }

    @Override
    public void equalI32(String name, int local) throws StateException {
        equal(name, "int32 equal", next32(), local);
    }

    private static void equal(String name, String type, int theirs, int ours)
            throws StateException {
        if (theirs != ours) {
            throw new StateException(
                    "Failed to load element of type %s for %s: -22 (%x != %x)"
                            .formatted(type, name, theirs, ours));
        }
    }

    @Override
    public void struct(String name, String vmsd, int version, Body body) throws StateException {
        owners.push(vmsd);
        body.describe(this);
        noMoreSubsections();
        owners.pop();
    }

    @Override
    public void structs(String name, String vmsd, int version, int count, Element body)
            throws StateException {
        for (int i = 0; i < count; i++) {
            owners.push(vmsd);
            body.describe(this, i);
            noMoreSubsections();
            owners.pop();
        }
    }

    @Override
    public boolean subsection(String name, int version, boolean needed, Body body)
            throws StateException {
        if (!name.equals(pendingSubsection())) {
            return false;
        }
        try {
            in.u8();
            in.name();
        } catch (IOException e) {
            throw broken(e);
        }
        int theirs = next32();
        if (Integer.compareUnsigned(theirs, version) > 0) {
            throw new StateException(
                    "%s: incoming version_id %d is too new for local version_id %d"
                            .formatted(name, theirs & 0xffff_ffffL, version));
        }
        owners.push(name);
        body.describe(this);
        noMoreSubsections();
        owners.pop();
        return true;
    }

    /** The name of the subsection that comes next and belongs to the present owner, or "". */
    private String pendingSubsection() throws StateException {
        String owner = owners.isEmpty() ? "" : owners.peek();
        try {
            if (in.peek(0) != SUBSECTION) {
                return "";
            }
            int length = in.peek(1);
            if (length < owner.length() + 1) {
                return "";
            }
            StringBuilder name = new StringBuilder(length);
            for (int i = 0; i < length; i++) {
                int c = in.peek(2 + i);
                if (c < 0) {
                    return "";
                }
                name.append((char) c);
                if (i < owner.length() && c != owner.charAt(i)) {
                    return "";
                }
            }
            return name.toString();
        } catch (IOException e) {
            throw broken(e);
        }
    }

    private void noMoreSubsections() throws StateException {
        String name = pendingSubsection();
        if (!name.isEmpty()) {
            throw new StateException(
                    "VM subsection '%s' in '%s' does not exist".formatted(name, owners.peek()));
        }
    }
}
