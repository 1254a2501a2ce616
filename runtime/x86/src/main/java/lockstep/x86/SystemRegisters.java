package lockstep.x86;

/** Control, debug and model-specific registers (Intel SDM volume 3, chapter 2; volume 4). */
final class SystemRegisters {
    private static final int TSC = 0x10;
    private static final int SYSENTER_CS = 0x174;
    private static final int SYSENTER_ESP = 0x175;
    private static final int SYSENTER_EIP = 0x176;
    private static final int PAT = 0x277;
    private static final int EFER = 0xc0000080;
    private static final int STAR = 0xc0000081;
    private static final int LSTAR = 0xc0000082;
    private static final int CSTAR = 0xc0000083;
    private static final int FMASK = 0xc0000084;
    private static final int FS_BASE = 0xc0000100;
    private static final int GS_BASE = 0xc0000101;
    private static final int KERNEL_GS_BASE = 0xc0000102;
    private static final int TSC_AUX = 0xc0000103;

    private static final int CR0_KNOWN =
            Cpu.PE | Cpu.MP | Cpu.EM | Cpu.TS | Cpu.ET | Cpu.NE | Cpu.WP | Cpu.AM | 0x60000000
                    | Cpu.PG;

    private SystemRegisters() {}

    static long readControl(Cpu c, int n) {
        return switch (n) {
            case 0 -> c.cr0 & 0xffffffffL;
            case 2 -> c.cr2;
            case 3 -> c.cr3;
            case 4 -> c.cr4 & 0xffffffffL;
            case 8 -> c.bus.taskPriority();
            default -> throw c.undefined();
        };
    }

    static void writeControl(Cpu c, int n, long v) {
        switch (n) {
            case 0 -> loadCr0(c, v);
            case 2 -> c.cr2 = v;
            case 3 -> {
                if (c.longMode() && v >>> c.cpuid.physicalBits() != 0) {
                    throw c.gp(0);
                }
                loadCr3(c, v);
            }
            case 4 -> loadCr4(c, v);
            case 8 -> {
                if (v >>> 4 != 0) {
                    throw c.gp(0);
                }
                c.bus.setTaskPriority((int) v);
            }
            default -> throw c.undefined();
        }
    }

    static void loadCr0(Cpu c, long v) {
        if (v >>> 32 != 0) {
            throw c.gp(0);
        }
        int now = (int) v & CR0_KNOWN | Cpu.ET;
        boolean paging = (now & Cpu.PG) != 0;
        boolean cacheWrong = (now & 0x60000000) == 0x20000000; // NW without CD
        if (cacheWrong || paging && (now & Cpu.PE) == 0) {
            throw c.gp(0);
        }
        boolean was = (c.cr0 & Cpu.PG) != 0;
        if (paging && !was) {
            if ((c.efer & Cpu.LME) != 0) {
                if ((c.cr4 & Cpu.PAE) == 0 || (c.attributes[Cpu.CS] & Cpu.L) != 0) {
                    throw c.gp(0);
                }
                c.efer |= Cpu.LMA;
            } else if ((c.cr4 & Cpu.PAE) != 0 && !c.paging.loadDirectories(c.cr3)) {
                throw c.gp(0);
            }
        } else if (!paging && was) {
            if (c.codeSize == 64) {
                throw c.gp(0);
            }
            c.efer &= ~Cpu.LMA;
        }
        boolean flush = ((c.cr0 ^ now) & (Cpu.PG | Cpu.WP | Cpu.PE)) != 0;
        c.cr0 = now;
        if (flush) {
            c.flushAll();
        }
        c.deriveMode();
    }

    static void loadCr3(Cpu c, long v) {
        if ((c.cr0 & Cpu.PG) != 0
                && (c.cr4 & Cpu.PAE) != 0
                && !c.longMode()
                && !c.paging.loadDirectories(v)) {
            throw c.gp(0);
        }
        c.cr3 = v;
        c.flushAll();
    }

    private static void loadCr4(Cpu c, long v) {
        if ((v & ~(c.cpuid.cr4Mask() & 0xffffffffL)) != 0) {
            throw c.gp(0);
        }
        int now = (int) v;
        if (c.longMode() && (now & Cpu.PAE) == 0) {
            throw c.gp(0);
        }
        int changed = c.cr4 ^ now;
        if ((changed & Cpu.PAE) != 0
                && (now & Cpu.PAE) != 0
                && (c.cr0 & Cpu.PG) != 0
                && !c.longMode()
                && !c.paging.loadDirectories(c.cr3)) {
            throw c.gp(0);
        }
        c.cr4 = now;
        if ((changed & (Cpu.PSE | Cpu.PAE | Cpu.PGE | Cpu.SMEP)) != 0) {
            c.flushAll();
        }
    }

    static long readDebug(Cpu c, int n) {
        int which = debugIndex(c, n);
        checkGeneralDetect(c);
        return c.dr[which];
    }

    static void writeDebug(Cpu c, int n, long v) {
        int which = debugIndex(c, n);
        checkGeneralDetect(c);
        if (which >= 6 && v >>> 32 != 0) {
            throw c.gp(0);
        }
        c.dr[which] =
                which == 6
                        ? v & 0x1e00fL | 0xffff0ff0L
                        : which == 7 ? v & 0xffff2fffL | 0x400 : v;
        if (which != 6) {
            c.breakpoints.changed();
        }
    }

    /** DR7.GD keeps a debugger's registers for itself. */
    private static void checkGeneralDetect(Cpu c) {
        if ((c.dr[7] & 0x2000) != 0) {
            c.dr[7] &= ~0x2000L;
            c.dr[6] |= 0x2000;
            throw c.fault(GuestFault.DB, GuestFault.NONE);
        }
    }

    private static int debugIndex(Cpu c, int n) {
        if (n == 4 || n == 5) {
            if ((c.cr4 & Cpu.DE) != 0) {
                throw c.undefined();
            }
            return n + 2;
        }
        if (n > 7) {
            throw c.undefined();
        }
        return n;
    }

    // ---- model-specific registers

    static long readMsr(Cpu c, int n) {
        return switch (n) {
            case TSC -> c.bus.timestamp();
            case SYSENTER_CS -> c.sysenterCs & 0xffffffffL;
            case SYSENTER_ESP -> c.sysenterEsp;
            case SYSENTER_EIP -> c.sysenterEip;
            case PAT -> c.pat;
            case EFER -> c.efer & 0xffffffffL;
            case STAR -> c.star;
            case LSTAR -> c.lstar;
            case CSTAR -> c.cstar;
            case FMASK -> c.fmask;
            case FS_BASE -> c.base[Cpu.FS];
            case GS_BASE -> c.base[Cpu.GS];
            case KERNEL_GS_BASE -> c.kernelGsBase;
            case TSC_AUX -> c.tscAux;
            default -> {
                try {
                    yield c.bus.readMsr(n);
                } catch (MsrException e) {
                    throw c.gp(0);
                }
            }
        };
    }

    static void writeMsr(Cpu c, int n, long v) {
        switch (n) {
            case TSC -> c.bus.setTimestamp(v);
            case SYSENTER_CS -> c.sysenterCs = (int) v;
            case SYSENTER_ESP -> c.sysenterEsp = canonical(c, v);
            case SYSENTER_EIP -> c.sysenterEip = canonical(c, v);
            case PAT -> {
                for (int i = 0; i < 64; i += 8) {
                    long type = v >>> i & 0xff;
                    if (type > 7 || type == 2 || type == 3) {
                        throw c.gp(0);
                    }
                }
                c.pat = v;
            }
            case EFER -> loadEfer(c, v);
            case STAR -> c.star = v;
            case LSTAR -> c.lstar = canonical(c, v);
            case CSTAR -> c.cstar = canonical(c, v);
            case FMASK -> c.fmask = v & 0xffffffffL;
            case FS_BASE -> c.base[Cpu.FS] = canonical(c, v);
            case GS_BASE -> c.base[Cpu.GS] = canonical(c, v);
            case KERNEL_GS_BASE -> c.kernelGsBase = canonical(c, v);
            case TSC_AUX -> {
                if (v >>> 32 != 0) {
                    throw c.gp(0);
                }
                c.tscAux = v;
            }
            default -> {
                try {
                    c.bus.writeMsr(n, v);
                } catch (MsrException e) {
                    throw c.gp(0);
                }
            }
        }
    }

    private static long canonical(Cpu c, long v) {
        if (!Paging.canonical(v)) {
            throw c.gp(0);
        }
        return v;
    }

    private static void loadEfer(Cpu c, long v) {
        int mask = c.cpuid.eferMask();
        if ((v & ~(mask & 0xffffffffL | Cpu.LMA)) != 0) {
            throw c.gp(0);
        }
        boolean lme = (v & Cpu.LME) != 0;
        if ((c.cr0 & Cpu.PG) != 0 && lme != ((c.efer & Cpu.LME) != 0)) {
            throw c.gp(0);
        }
        int changed = c.efer ^ (int) v;
        c.efer = (int) v & mask & ~Cpu.LMA | c.efer & Cpu.LMA;
        if ((changed & Cpu.NXE) != 0) {
            c.flushAll();
        }
        c.deriveMode();
    }
}
