package lockstep.runtime.jvm;

import lockstep.runtime.chip.Apic;
import lockstep.runtime.cpu.VcpuState;
import lockstep.x86.MsrException;

/**
 * Model-specific registers that have no effect on the execution of instructions, kept in the state that migrates; and
 * those of the local APIC. One that is not known reads as 0 and takes everything, as in QEMU without KVM: guests probe
 * for registers of the processor that CPUID shows them.
 */
final class JvmMsrs {
    private static final int APIC_BASE = 0x1b;
    private static final int FEATURE_CONTROL = 0x3a;
    private static final int TSC_ADJUST = 0x3b;
    private static final int MICROCODE = 0x8b;
    private static final int MTRR_CAP = 0xfe;
    private static final int MCG_CAP = 0x179;
    private static final int MCG_STATUS = 0x17a;
    private static final int MCG_CTL = 0x17b;
    private static final int MISC_ENABLE = 0x1a0;
    private static final int MTRR_FIRST = 0x200;
    private static final int MTRR_COUNT = 16;
    private static final int MTRR_DEFAULT = 0x2ff;
    private static final int BANKS_FIRST = 0x400;
    private static final int TSC_DEADLINE = 0x6e0;
    private static final int HWCR = 0xc0010015;

    /**
     * McStatusWrEn and TscFreqSel, which KVM keeps as well. The others switch parts that are not here: Linux sets one
     * of them at its start, and QEMU before 9.2 refuses a guest that comes with any.
     */
    private static final long HWCR_KEPT = 1 << 18 | 1 << 24;

    private static final int[] MTRR_FIXED = {
        0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f
    };

    /** Eight variable ranges, fixed ranges, write combining. */
    private static final long MTRR_ABILITIES = 8 | 1 << 8 | 1 << 10;

    private final VcpuState s;
    private final Apic apic;
    private final int physicalBits;

    JvmMsrs(VcpuState state, Apic apic, int physicalBits) {
        s = state;
        this.apic = apic;
        this.physicalBits = physicalBits;
        // Ten banks, MCG_CTL present, software error recovery (Intel SDM volume 3, section 16.3.1).
        s.mcgCap = 10 | 1 << 8 | 1 << 24;
    }

    private static int fixed(int number) {
        for (int i = 0; i < MTRR_FIXED.length; i++) {
            if (MTRR_FIXED[i] == number) {
                return i;
            }
        }
        return -1;
    }

    long read(int n) throws MsrException {
        switch (n) {
            case APIC_BASE -> {
                return apic.base();
            }
            case TSC_DEADLINE -> {
                return apic.deadline();
            }
            case FEATURE_CONTROL -> {
                return s.featureControl;
            }
            case TSC_ADJUST -> {
                return s.tscAdjust;
            }
            case MICROCODE -> {
                return 0x100000000L;
            }
            case MTRR_CAP -> {
                return MTRR_ABILITIES;
            }
            case MCG_CAP -> {
                return s.mcgCap;
            }
            case MCG_STATUS -> {
                return s.mcgStatus;
            }
            case MCG_CTL -> {
                return s.mcgCtl;
            }
            case MISC_ENABLE -> {
                return s.miscEnable;
            }
            case MTRR_DEFAULT -> {
                return s.mtrrDefault;
            }
            case HWCR -> {
                return s.hwcr;
            }
            default -> {}
        }
        if (n >= MTRR_FIRST && n < MTRR_FIRST + MTRR_COUNT) {
            int i = (n - MTRR_FIRST) / 2;
            long mask = (1L << physicalBits) - 1;
            return ((n & 1) == 0 ? s.mtrrBase[i] : s.mtrrMask[i]) & mask;
        }
        if (n >= BANKS_FIRST && n < BANKS_FIRST + s.mceBanks.length) {
            return s.mceBanks[n - BANKS_FIRST];
        }
        int f = fixed(n);
        return f >= 0 ? s.mtrrFixed[f] : 0;
    }

    void write(int n, long v) throws MsrException {
        switch (n) {
            case APIC_BASE -> {
                if (!apic.base(v, physicalBits)) {
                    throw new MsrException();
                }
            }
            case TSC_DEADLINE -> apic.deadline(v);
            case FEATURE_CONTROL -> s.featureControl = v;
            case TSC_ADJUST -> s.tscAdjust = v;
            case MCG_STATUS -> s.mcgStatus = v;
            case MCG_CTL -> s.mcgCtl = v;
            case MISC_ENABLE -> s.miscEnable = v;
            case MTRR_DEFAULT -> s.mtrrDefault = v;
            case HWCR -> s.hwcr = v & HWCR_KEPT;
            default -> writeRange(n, v);
        }
    }

    private void writeRange(int n, long v) {
        if (n >= MTRR_FIRST && n < MTRR_FIRST + MTRR_COUNT) {
            int i = (n - MTRR_FIRST) / 2;
            if ((n & 1) == 0) {
                s.mtrrBase[i] = v;
            } else {
                // The stream has the mask's bits above the guest's address width set.
                s.mtrrMask[i] = v | -1L << physicalBits & (1L << 52) - 1;
            }
        } else if (n >= BANKS_FIRST && n < BANKS_FIRST + s.mceBanks.length) {
            s.mceBanks[n - BANKS_FIRST] = v;
        } else {
            int f = fixed(n);
            if (f >= 0) {
                s.mtrrFixed[f] = v;
            }
        }
    }
}
