package lockstep.runtime.memory;

import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Numbers whose most significant byte comes first, at any place in arrays and in memory. */
public final class BigEndian {
    /** Two bytes of memory. */
    public static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    /** Four bytes of memory. */
    public static final ValueLayout.OfInt INT =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    /** Eight bytes of memory. */
    public static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private static final VarHandle BYTES2 =
            MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle BYTES4 =
            MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);

    private BigEndian() {}

    /** Two bytes of an array, zero-extended. */
    public static int get16(byte[] bytes, int at) {
        return (short) BYTES2.get(bytes, at) & 0xffff;
    }

    /** Four bytes of an array. */
    public static int get32(byte[] bytes, int at) {
        return (int) BYTES4.get(bytes, at);
    }

    /** Puts two bytes into an array. */
    public static void put16(byte[] bytes, int at, int value) {
        BYTES2.set(bytes, at, (short) value);
    }

    /** Puts four bytes into an array. */
    public static void put32(byte[] bytes, int at, int value) {
        BYTES4.set(bytes, at, value);
    }
}
