package lockstep.x86;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.util.HexFormat;

/**
 * What the system can forbid: x87, MMX and SSE under CR0 and CR4, exceptions that are not masked,
 * features that CPUID does not show; and the state that goes to and comes from the migration
 * stream.
 */
final class FpuAccessTest {
    private final Interpreted machine = new Interpreted();

    private int fault(String code) {
        NativeRunner.State s = new NativeRunner.State();
        s.general(Cpu.RBX, NativeRunner.DATA);
        return fault(code, s);
    }

    private int fault(String code, NativeRunner.State s) {
        machine.run(HexFormat.of().parseHex(code), s);
        return s.fault();
    }

    @Test
    void taskSwitchedMakesTheDeviceUnavailable() {
        machine.cpu.cr0 |= Cpu.TS;
        for (String code : new String[] {"d9e8", "9b", "0fefc1", "660fefc1", "0fae03", "0fae1b"}) {
            assertEquals(GuestFault.NM, fault(code), code);
        }
        machine.cpu.cr0 &= ~Cpu.MP;
        assertEquals(-1, fault("9b"), "FWAIT does not look at TS without MP");
    }

    @Test
    void emulationMakesX87UnavailableAndTheRestUndefined() {
        machine.cpu.cr0 |= Cpu.EM;
        assertEquals(GuestFault.NM, fault("d9e8"));
        for (String code : new String[] {"0fefc1", "660fefc1", "0f77"}) {
            assertEquals(GuestFault.UD, fault(code), code);
        }
    }

    @Test
    void sseNeedsTheSystemToSaveItsState() {
        machine.cpu.cr4 &= ~Cpu.OSFXSR;
        assertEquals(GuestFault.UD, fault("660fefc1"));
        assertEquals(-1, fault("0fefc1"), "MMX does not");
        assertEquals(-1, fault("0fae03"), "nor does FXSAVE");
    }

    @Test
    void simdExceptionsNeedTheSystemToKnowThem() {
        NativeRunner.State s = new NativeRunner.State();
        s.fx32(24, 0);
        s.xmm(0, 1);
        assertEquals(GuestFault.XM, fault("f20f58c1", s));
        assertEquals(Float80.DENORMAL, s.fx32(24));
        machine.cpu.cr4 &= ~Cpu.OSXMMEXCPT;
        assertEquals(GuestFault.UD, fault("f20f58c1", s));
    }

    @Test
    void pendingX87ExceptionStrikesAtTheNextWaitingInstruction() {
        NativeRunner.State s = new NativeRunner.State();
        s.fx16(0, 0x37f & ~Float80.DIVIDE);
        s.fx16(2, Float80.DIVIDE);
        assertEquals(GuestFault.MF, fault("d9e8", s.copy()));
        assertEquals(GuestFault.MF, fault("9b", s.copy()));
        assertEquals(GuestFault.MF, fault("0fefc1", s.copy()));
        assertEquals(-1, fault("dbe2", s.copy()), "FNCLEX does not wait");
        boolean[] told = {false};
        machine.cpu.fpu.ferr = () -> told[0] = true;
        machine.cpu.cr0 &= ~Cpu.NE;
        assertEquals(-1, fault("d9e8", s.copy()));
        assertEquals(true, told[0]);
    }

    @Test
    void misalignedOperandsFaultAndChangeNothing() {
        NativeRunner.State s = new NativeRunner.State();
        s.general(Cpu.RBX, NativeRunner.DATA + 8);
        s.xmm(0, 5);
        assertEquals(GuestFault.GP, fault("660fef03", s));
        assertEquals(5, s.xmm(0));
        assertEquals(-1, fault("f30f6f03", s));
    }

    @Test
    void xsaveAndXrstorKeepTheState() {
        NativeRunner.State s = new NativeRunner.State();
        s.general(Cpu.RBX, NativeRunner.DATA);
        s.general(Cpu.RAX, 7);
        for (int i = 0; i < 32; i++) {
            s.xmm(i, i * 77L + 1);
        }
        s.fx16(2, 3 << 11);
        s.fx16(4, 0x5a);
        s.stack(2, -1, 0x4000);
        NativeRunner.State saved = s.copy();
        assertEquals(-1, fault("0fae23", saved));
        assertEquals(3, saved.data(512));
        NativeRunner.State empty = new NativeRunner.State();
        empty.general(Cpu.RBX, NativeRunner.DATA);
        empty.general(Cpu.RAX, 7);
        for (int i = 0; i < 576; i += 8) {
            empty.data(i, saved.data(i));
        }
        assertEquals(-1, fault("0fae2b", empty));
        for (int i = 0; i < 32; i++) {
            assertEquals(s.xmm(i), empty.xmm(i));
        }
        assertEquals(s.fx16(2), empty.fx16(2));
        assertEquals(s.fx16(4), empty.fx16(4));
        assertEquals(-1, empty.mantissa(2));
        empty.data(512, 0);
        assertEquals(-1, fault("0fae2b", empty));
        assertEquals(0, empty.xmm(5), "what the image does not have is as after reset");
        assertEquals(0x37f, empty.fx16(0));
    }

    @Test
    void basesOfSegments() {
        NativeRunner.State s = new NativeRunner.State();
        s.general(Cpu.RCX, 0x7fff12345678L);
        assertEquals(-1, fault("f3480faed1", s), "WRFSBASE");
        assertEquals(0x7fff12345678L, machine.cpu.base[Cpu.FS]);
        assertEquals(-1, fault("f3480faec0", s), "RDFSBASE");
        assertEquals(0x7fff12345678L, s.general(Cpu.RAX));
        s.general(Cpu.RCX, 1L << 50);
        assertEquals(GuestFault.GP, fault("f3480faed9", s), "WRGSBASE");
        machine.cpu.cr4 &= ~Cpu.FSGSBASE;
        assertEquals(GuestFault.UD, fault("f3480faec0", s));
    }

    @Test
    void theMigratedStateIsThatOfFxsave() {
        Registers in = new Registers();
        in.fcw = 0x27f;
        in.fsw = 5 << 11 | Fpu.C0;
        in.ftw = 0xa5;
        in.fop = 0x123;
        in.fip = 0x1234567890L;
        in.fdp = 0x9876543210L;
        for (int i = 0; i < 8; i++) {
            in.mantissa[i] = -i;
            in.exponent[i] = 0x8000 | i;
        }
        Fpu u = new Fpu();
        u.load(in);
        assertEquals(-2, u.mantissa[7], "ST(2) of a stack whose top is register 5");
        Registers out = new Registers();
        u.save(out);
        assertArrayEquals(in.mantissa, out.mantissa);
        assertArrayEquals(in.exponent, out.exponent);
        assertEquals(in.fsw, out.fsw);
        assertEquals(in.ftw, out.ftw);
        assertEquals(in.fop, out.fop);
        assertEquals(in.fip, out.fip);
        assertEquals(in.fdp, out.fdp);
    }
}
