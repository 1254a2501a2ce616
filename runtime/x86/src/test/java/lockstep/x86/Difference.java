package lockstep.x86;

import org.jspecify.annotations.Nullable;

/** Where two states differ. */
final class Difference {
    private Difference() {}

    /** The first difference, or null; of the flags only {@code flags} count. */
    static @Nullable String of(
            NativeRunner.State wanted, NativeRunner.State got, int flags, boolean estimate) {
        if (wanted.fault() != got.fault()) {
            return "exception " + wanted.fault() + " but " + got.fault() + mxcsr(wanted, got);
        }
        for (int i = 0; i < 32; i++) {
            if (wanted.xmm(i) != got.xmm(i) && !(estimate && near(wanted.xmm(i), got.xmm(i)))) {
                return "xmm%d[%d] %016x but %016x"
                                .formatted(i >> 1, i & 1, wanted.xmm(i), got.xmm(i))
                        + mxcsr(wanted, got);
            }
        }
        if (wanted.fx32(24) != got.fx32(24)) {
            return "result as wanted but" + mxcsr(wanted, got);
        }
        for (int i = 0; i < 16; i++) {
            if (wanted.general(i) != got.general(i)) {
                return "register %d %x but %x".formatted(i, wanted.general(i), got.general(i));
            }
        }
        if (((wanted.flags() ^ got.flags()) & flags) != 0) {
            return "flags %x but %x".formatted(wanted.flags() & flags, got.flags() & flags);
        }
        for (int at : new int[] {0, 2, 4}) {
            if (wanted.fx16(at) != got.fx16(at)) {
                return "x87 %s %04x but %04x; st0 %04x %016x but %04x %016x"
                        .formatted(
                                at == 0 ? "control" : at == 2 ? "status" : "tags",
                                wanted.fx16(at),
                                got.fx16(at),
                                wanted.exponent(0),
                                wanted.mantissa(0),
                                got.exponent(0),
                                got.mantissa(0));
            }
        }
        for (int i = 0; i < 8; i++) {
            if (wanted.mantissa(i) != got.mantissa(i) || wanted.exponent(i) != got.exponent(i)) {
                return "st%d %04x %016x but %04x %016x"
                        .formatted(
                                i,
                                wanted.exponent(i),
                                wanted.mantissa(i),
                                got.exponent(i),
                                got.mantissa(i));
            }
        }
        for (int i = 0; i < NativeRunner.DATA_SIZE; i += 8) {
            if (wanted.data(i) != got.data(i)) {
                return "memory %x: %016x but %016x".formatted(i, wanted.data(i), got.data(i));
            }
        }
        return null;
    }

    private static String mxcsr(NativeRunner.State wanted, NativeRunner.State got) {
        return wanted.fx32(24) == got.fx32(24)
                ? ""
                : " mxcsr %04x but %04x".formatted(wanted.fx32(24), got.fx32(24));
    }

    /** Singles that are as near as the estimates RCPPS and RSQRTPS must be to the true value. */
    private static boolean near(long a, long b) {
        return near((int) a, (int) b) && near((int) (a >>> 32), (int) (b >>> 32));
    }

    private static boolean near(int a, int b) {
        if (a == b) {
            return true;
        }
        float x = Float.intBitsToFloat(a);
        float y = Float.intBitsToFloat(b);
        return Math.abs(x - y) <= Math.abs(y) * 1.5f / 4096;
    }

    /** What the instruction was given. */
    static String operands(NativeRunner.State s) {
        StringBuilder b = new StringBuilder("\n      with mxcsr %04x".formatted(s.fx32(24)));
        for (int i = 0; i < 16; i++) {
            b.append(" x%d=%016x:%016x".formatted(i, s.xmm(2 * i + 1), s.xmm(2 * i)));
        }
        long at = s.general(Cpu.RBX) - NativeRunner.DATA;
        if (at >= 0 && at < 4080) {
            b.append(" m=%016x:%016x".formatted(s.data((int) at + 8), s.data((int) at)));
        }
        return b.toString();
    }
}
