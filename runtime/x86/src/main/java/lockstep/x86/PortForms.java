package lockstep.x86;

import lockstep.x86.Op.Action;

/** IN and OUT. */
final class PortForms {
    private PortForms() {}

    static void install(Decoder.Form[] one) {
        for (int n = 0; n < 2; n++) {
            int wide = n;
            one[0xe4 + n] = d -> port(d, wide, true, IN);
            one[0xec + n] = d -> port(d, wide, false, IN);
            one[0xe6 + n] = d -> port(d, wide, true, OUT);
            one[0xee + n] = d -> port(d, wide, false, OUT);
        }
    }

    private static Op port(Decoder d, int wide, boolean immediate, Action action) {
        d.size = wide == 0 ? 1 : Math.min(d.size, 4);
        d.imm = immediate ? d.next() : -1;
        // A device access may stop the machine or ask for attention: look up behind it.
        return d.last(action);
    }

    private static int number(Cpu c, Op o) {
        return o.imm() < 0 ? c.get16(Cpu.RDX) : (int) o.imm();
    }

    private static final Action IN =
            (c, o) -> {
                int port = number(c, o);
                checkPort(c, port, o.size());
                c.breakpoints.port(port, o.size());
                c.set(Cpu.RAX, o.size(), c.bus.readPort(port, o.size()));
            };

    private static final Action OUT =
            (c, o) -> {
                int port = number(c, o);
                checkPort(c, port, o.size());
                c.breakpoints.port(port, o.size());
                c.bus.writePort(port, o.size(), (int) c.get(Cpu.RAX, o.size()));
            };

    /** Whether the present privilege may use a port (Intel SDM volume 1, section 19.5). */
    static void checkPort(Cpu c, int port, int size) {
        if (!c.protectedMode() || !c.virtual8086() && c.cpl <= c.iopl()) {
            return;
        }
        boolean wide = (Segments.type(c.attributes[Cpu.TR]) & 8) != 0;
        if (!wide || c.limit[Cpu.TR] < 103) {
            throw c.gp(0);
        }
        long at = c.systemRead(c.base[Cpu.TR] + 102, 2) + port / 8;
        if (at + 1 > c.limit[Cpu.TR]) {
            throw c.gp(0);
        }
        long bits = c.systemRead(c.base[Cpu.TR] + at, 2);
        if ((bits >>> port % 8 & (1 << size) - 1) != 0) {
            throw c.gp(0);
        }
    }
}
