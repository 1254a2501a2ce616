package lockstep.x86;

/**
 * The debug registers' breakpoints (Intel SDM volume 3, section 19.2). While one on data is armed, accesses to its page
 * all take the slow way, which looks here.
 */
final class Breakpoints {
    private static final int EXECUTE = 0;
    private static final int WRITE = 1;
    private static final int PORT = 2;

    private final Cpu cpu;

    /** Whether some breakpoint on instructions is armed: then they are run one by one. */
    boolean onInstructions;

    /** Whether some breakpoint on memory is armed. */
    boolean onData;

    /** Whether some breakpoint on ports is armed. */
    boolean onPorts;

    /** Bits 0 to 3 of DR6 that the running instruction has hit. */
    private int hit;

    Breakpoints(Cpu cpu) {
        this.cpu = cpu;
    }

    /** Whether instructions must be run one by one. */
    boolean armed() {
        return onInstructions | onData | onPorts;
    }

    private boolean armed(int n) {
        return (cpu.dr[7] >>> n * 2 & 3) != 0;
    }

    private int kind(int n) {
        return (int) (cpu.dr[7] >>> 16 + n * 4) & 3;
    }

    /** Bytes that a breakpoint covers. */
    private int length(int n) {
        return switch ((int) (cpu.dr[7] >>> 18 + n * 4) & 3) {
            case 0 -> 1;
            case 1 -> 2;
            case 2 -> 8;
            default -> 4;
        };
    }

    /** After a change of the registers. */
    void changed() {
        onInstructions = false;
        onData = false;
        onPorts = false;
        hit = 0;
        for (int n = 0; n < 4; n++) {
            if (armed(n)) {
                switch (kind(n)) {
                    case EXECUTE -> onInstructions = true;
                    case PORT -> onPorts = (cpu.cr4 & Cpu.DE) != 0;
                    default -> onData = true;
                }
            }
        }
        cpu.flushAll();
    }

    /** Whether accesses to a page must be looked at one by one. */
    boolean watches(long la) {
        for (int n = 0; n < 4; n++) {
            if (armed(n) && (kind(n) & 1) != 0 && (cpu.dr[n] ^ la) >>> 12 == 0) {
                return true;
            }
        }
        return false;
    }

    /** Notes an access to memory. */
    void accessed(long la, int size, boolean write) {
        for (int n = 0; n < 4; n++) {
            int kind = kind(n);
            if (armed(n) && (kind & 1) != 0 && (write || kind != WRITE)) {
                long start = cpu.dr[n] & -(long) length(n);
                if (la < start + length(n) && start < la + size) {
                    hit |= 1 << n;
                }
            }
        }
    }

    /** Notes an access to a port. */
    void port(int port, int size) {
        if (!onPorts) {
            return;
        }
        for (int n = 0; n < 4; n++) {
            if (armed(n) && kind(n) == PORT) {
                long start = cpu.dr[n] & -(long) length(n);
                if (port < start + length(n) && start < port + size) {
                    hit |= 1 << n;
                }
            }
        }
    }

    /** Fails before an instruction with a breakpoint; RF holds that off once. */
    void fetching(long la) {
        if ((cpu.eflags & Cpu.RF) != 0) {
            return;
        }
        int found = 0;
        for (int n = 0; n < 4; n++) {
            if (armed(n) && kind(n) == EXECUTE && cpu.dr[n] == la) {
                found |= 1 << n;
            }
        }
        if (found != 0) {
            cpu.dr[6] = cpu.dr[6] & ~15L | found;
            throw cpu.fault(GuestFault.DB, GuestFault.NONE);
        }
    }

    /** After an instruction: whether a trap is due for what it accessed. */
    boolean takeHit() {
        if (hit == 0) {
            return false;
        }
        cpu.dr[6] = cpu.dr[6] & ~15L | hit;
        hit = 0;
        return true;
    }
}
