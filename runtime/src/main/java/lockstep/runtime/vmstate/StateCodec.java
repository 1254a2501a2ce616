package lockstep.runtime.vmstate;

/**
 * Describes a section of device state once, for both directions: a saving codec writes the value it is
 * given and returns it, a loading codec ignores it and returns what the stream holds.
 *
 * <pre>{@code
 * void describe(StateCodec c) throws StateException {
 *     divider = c.u16("divider", divider);
 *     c.bytes("fifo", fifo);
 *     c.subsection("serial/tsr", 1, tsrRetry != 0, s -> tsrRetry = s.u32("tsr_retry", tsrRetry));
 * }
 * }</pre>
 *
 * <p>Integers are big endian on the wire. Names are those of the JSON description at the stream's end.
 * Values wider than the wire type are cut to it when saving.
 */
public interface StateCodec {
    /** A part of a description. */
    @FunctionalInterface
    interface Body {
        /** Describes the part. */
        void describe(StateCodec c) throws StateException;
    }

    /** One element of an array of structures. */
    @FunctionalInterface
    interface Element {
        /** Describes element {@code index}. */
        void describe(StateCodec c, int index) throws StateException;
    }

    /** True while a stream is read. */
    boolean loading();

    /** The version of the section: the sender's when loading. */
    int version();

    /** One byte, any non-zero value is true. */
    boolean bool(String name, boolean value) throws StateException;

    /** One byte, zero-extended. */
    int u8(String name, int value) throws StateException;

    /** One byte, sign-extended. */
    int i8(String name, int value) throws StateException;

    /** Two bytes, zero-extended. */
    int u16(String name, int value) throws StateException;

    /** Two bytes, sign-extended. */
    int i16(String name, int value) throws StateException;

    /** Four bytes, as their 32 bits. */
    int u32(String name, int value) throws StateException;

    /** Four bytes, signed. */
    int i32(String name, int value) throws StateException;

    /** Eight bytes, as their 64 bits. */
    long u64(String name, long value) throws StateException;

    /** Eight bytes, signed. */
    long i64(String name, long value) throws StateException;

    /** An absolute expiry in nanoseconds, -1 when not armed. */
    long timer(String name, long deadline) throws StateException;

    /** Raw bytes in place; the array's length is the wire length. */
    void bytes(String name, byte[] value) throws StateException;

    /** An array of bytes held one per int, zero-extended. JSON type uint8. */
    void u8s(String name, int[] values) throws StateException;

    /** An array of two-byte integers, zero-extended. */
    void u16s(String name, int[] values) throws StateException;

    /** An array of four-byte unsigned integers. */
    void u32s(String name, int[] values) throws StateException;

    /** An array of four-byte signed integers. */
    void i32s(String name, int[] values) throws StateException;

    /** An array of eight-byte integers. */
    void u64s(String name, long[] values) throws StateException;

    /** {@code count} zero bytes, ignored when loading. */
    void pad(String name, int count) throws StateException;

    /** One byte that must equal the local value when loading. */
    void equalU8(String name, int local) throws StateException;

    /** Four bytes that must equal the local value when loading. */
    void equalI32(String name, int local) throws StateException;

    /** A nested structure; its subsections follow it directly. */
    void struct(String name, String vmsd, int version, Body body) throws StateException;

    /** {@code count} nested structures. */
    void structs(String name, String vmsd, int version, int count, Element body)
            throws StateException;

    /**
     * An optional part behind the fields of its owner. When saving it is written if {@code needed}; when
     * loading {@code body} runs if the stream holds it. Subsections are described in their wire order.
     *
     * @return whether the part was written or found
     */
    boolean subsection(String name, int version, boolean needed, Body body) throws StateException;

    /** The failure of a check while loading, in QEMU's words where it has some. */
    default StateException invalid(String message) {
        return new StateException(message);
    }
}
