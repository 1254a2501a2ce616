package lockstep.runtime.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.linux.HostTicks;
import lockstep.runtime.testmachine.CoreProcess;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayInputStream;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Objects;

/**
 * What the sections of a vCPU leave behind, whoever wrote them: QEMU on KVM, QEMU's emulator, which hands on unchanged
 * what it does not use itself, or Lockstep. The state is read as it would be sent on.
 */
@Timeout(60)
class ArrivalTest {
    private static final long CLOCK = 5_000_000_000L;
    private static final int HARD = 2;
    private static final int NMI = 0x200;
    private static final int INIT = 0x400;
    private static final int SIPI = 0x800;

    private final VcpuState cpu = new VcpuState();
    private final LocalApic apic = new LocalApic(1);
    private long ticks;
    private int halted;
    private int requests;

    private CoreProcess process;
    private AcceleratedMachine machine;

    @BeforeEach
    void make() throws Exception {
        process = new CoreProcess();
        machine =
                new AcceleratedMachine(
                        process.vmm,
                        new JvmType().open(Map.of(), process.loop),
                        "pc-i440fx-7.2",
                        1 << 20,
                        null,
                        2,
                        "qemu64");
        // As it is where a guest runs.
        cpu.reset(0x60fb1, true);
        apic.reset(false);
        apic.waitForSipi = 0;
        cpu.rip = 0x1234;
    }

    @AfterEach
    void end() {
        process.lock.run(machine::close);
        process.close();
    }

    /** A section that somebody else writes or reads. */
    private record Other(String name, int version, StateCodec.Body body) implements StateSection {
        @Override
        public void describe(StateCodec c) throws StateException {
            body.describe(c);
        }
    }

    private static byte[] written(StateSection section) throws StateException {
        StateOutput out = new StateOutput(4096);
        new SavingCodec(out, Description.none()).inPlace(section);
        return out.toByteArray();
    }

    private static void read(byte[] content, StateSection section, int version)
            throws StateException {
        new LoadingCodec(new StateInput(new ByteArrayInputStream(content)))
                .content(section, version);
    }

    private StateSection section(String name, int instance) {
        return Objects.requireNonNull(process.state.find(name, instance), name);
    }

    private void load(String name, int instance, int version, StateCodec.Body body)
            throws StateException {
        byte[] content = written(new Other(name, version, body));
        read(content, section(name, instance), version);
    }

    private void time() throws StateException {
        load(
                "timer",
                0,
                2,
                c -> {
                    c.i64("cpu_ticks_offset", ticks);
                    c.pad("unused", 8);
                    c.i64("cpu_clock_offset", CLOCK);
                });
    }

    private void processor(int n) throws StateException {
        load(
                "cpu_common",
                n,
                1,
                c -> {
                    c.u32("halted", halted);
                    c.u32("interrupt_request", requests);
                    c.subsection(
                            "cpu_common/exception_index",
                            1,
                            true,
                            s -> s.i32("exception_index", 0x10001));
                });
        load("cpu", n, 12, cpu::describe);
    }

    /** The sections of both vCPUs, in the order of QEMU 7.2 or of a later one. */
    private void arrive(boolean apicsFirst) {
        process.lock.acquire();
        try {
            for (int n = 0; apicsFirst && n < 2; n++) {
                load("apic", n, 3, apic::describe);
            }
            time();
            for (int n = 0; n < 2; n++) {
                processor(n);
            }
            for (int n = 0; !apicsFirst && n < 2; n++) {
                load("apic", n, 3, apic::describe);
            }
        } catch (StateException e) {
            throw new AssertionError(e);
        } finally {
            process.lock.release();
        }
    }

    private byte[] saved(String name) {
        process.lock.acquire();
        try {
            section("apic", 1).beforeSave();
            return written(section(name, 1));
        } catch (StateException e) {
            throw new AssertionError(e);
        } finally {
            process.lock.release();
        }
    }

    /** The second vCPU's section. */
    private VcpuState there() {
        VcpuState s = new VcpuState();
        try {
            read(saved("cpu"), new Other("cpu", 12, s::describe), 12);
        } catch (StateException e) {
            throw new AssertionError(e);
        }
        return s;
    }

    private int common(int word) {
        return ByteBuffer.wrap(saved("cpu_common")).getInt(4 * word);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void restsOrRunsAsItsCommonSectionSays(boolean apicsFirst) {
        halted = 1;
        arrive(apicsFirst);
        assertEquals(VcpuState.HALTED, there().mpState);
        assertEquals(1, common(0));
        halted = 0;
        for (int old : new int[] {VcpuState.NOT_STARTED, VcpuState.HALTED}) {
            // What it was when QEMU's emulator got it.
            cpu.mpState = old;
            arrive(apicsFirst);
            assertEquals(VcpuState.RUNNABLE, there().mpState);
            assertEquals(0, common(0));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void waitsForItsStartWhoeverSaysSo(boolean apicsFirst) {
        cpu.reset(0x60fb1, false);
        cpu.mpState = VcpuState.RUNNABLE; // as an emulator has it
        halted = 1;
        apic.waitForSipi = 1;
        arrive(apicsFirst);
        assertEquals(VcpuState.NOT_STARTED, there().mpState);
        for (int kernels : new int[] {VcpuState.NOT_STARTED, VcpuState.INIT_RECEIVED}) {
            cpu.mpState = kernels;
            halted = 0;
            apic.waitForSipi = 0;
            arrive(apicsFirst);
            assertEquals(VcpuState.NOT_STARTED, there().mpState);
            assertEquals(1, common(0));
        }
        // And is not confused by what was there before.
        cpu.mpState = VcpuState.RUNNABLE;
        cpu.rip = 0x1234;
        arrive(apicsFirst);
        assertEquals(VcpuState.RUNNABLE, there().mpState);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void timestampIsThatOfWhoeverCounted(boolean apicsFirst) {
        cpu.tsc = 0;
        ticks = 10_000_000_000L;
        arrive(apicsFirst);
        assertEquals(ticks, there().tsc, "QEMU's emulator");
        cpu.tsc = 7_000_000_000L;
        arrive(apicsFirst);
        assertEquals(ticks, there().tsc, "QEMU's emulator, after somebody else");
        cpu.tscKhz = 3_123_456;
        arrive(apicsFirst);
        assertEquals(ticks, there().tsc, "the same after KVM");
        cpu.tsc = ticks + 5;
        arrive(apicsFirst);
        assertEquals(cpu.tsc, there().tsc, "QEMU on KVM, with the local APICs in QEMU");
        cpu.tsc = 7_000_000_000L;
        apic.loadTime = CLOCK;
        arrive(apicsFirst);
        assertEquals(cpu.tsc, there().tsc, "QEMU on KVM");
        apic.loadTime = 0;
        ticks = cpu.tsc;
        arrive(apicsFirst);
        assertEquals(cpu.tsc, there().tsc, "Lockstep");
    }

    @Test
    void countsAtTheRateThatTheGuestKnows() {
        cpu.tscKhz = 3_123_456;
        arrive(false);
        assertEquals(3_123_456, there().tscKhz);
        process.lock.run(() -> process.clocks.setVirtual(2 * CLOCK));
        double counted = there().tsc - ticks;
        assertEquals(CLOCK / 1e6 * 3_123_456, counted, 2);
    }

    @Test
    void countsAtTheHostsRateOtherwise() {
        arrive(false);
        assertEquals(HostTicks.kilohertz(), there().tscKhz);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatWaitsForAProcessorGoesAlong(boolean apicsFirst) {
        // QEMU's emulator looks at nothing else to see whether there is an interrupt.
        apic.spurious = 0x1ff;
        apic.irr[1] = 1 << 5;
        requests = 0;
        arrive(apicsFirst);
        assertEquals(HARD, common(1));
        apic.irr[1] = 0;
        requests = HARD;
        arrive(apicsFirst);
        assertEquals(0, common(1), "no interrupt is there");
        requests = NMI;
        arrive(apicsFirst);
        assertEquals(NMI, common(1));
        assertEquals(0, there().nmiPending);
        requests = INIT;
        arrive(apicsFirst);
        assertEquals(INIT, common(1));
        requests = SIPI;
        cpu.rip = 0xfff0;
        apic.waitForSipi = 1;
        apic.sipiVector = 0x9a;
        arrive(apicsFirst);
        assertEquals(SIPI, common(1));
        requests = 0;
        arrive(apicsFirst);
        assertEquals(0, common(1), "nothing is left of what was there before");
    }
}
