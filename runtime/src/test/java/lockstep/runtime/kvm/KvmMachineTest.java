package lockstep.runtime.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.OnOffSplit;
import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.testmachine.CoreProcess;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayInputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

@Tag("kvm")
@Timeout(60)
@ParameterizedClass
@EnumSource(names = {"ON", "OFF", "SPLIT"})
class KvmMachineTest {
    /** The interrupt controllers that the kernel has. */
    @Parameter OnOffSplit kernel = OnOffSplit.ON;

    private static final int RAM = 1 << 20;
    private static final int START = 0x7c00;

    // cli; ds = 0; es = 0xd000; cx = 0; dx = 0x300
    // again: inc cx; mov [0x1000], cx; mov ax, cx; out dx, ax; mov es:[0x10], cx
    //        mov bx, es:[0x20]; mov [0x2000], bx; in ax, dx; mov [0x3000], ax; jmp again
    private static final byte[] COUNTER =
            HexFormat.of()
                    .parseHex(
                            "fa31c08ed8b800d08ec031c9ba000341890e001089c8ef26890e1000268b"
                                    + "1e2000891e0020eda30030ebe4");

    @BeforeAll
    static void needsKvm() {
        Assumptions.assumeTrue(
                Files.isWritable(Path.of("/dev/kvm")), "no access to /dev/kvm on this host");
    }

    /** A machine whose guest counts, tells a port and a register, and reads them back. */
    private final class Guest implements AutoCloseable {
        final CoreProcess process = new CoreProcess();
        final AcceleratedMachine machine;
        final BlockingQueue<Integer> port = new LinkedBlockingQueue<>();
        final BlockingQueue<Integer> register = new LinkedBlockingQueue<>();
        volatile CountDownLatch enough = new CountDownLatch(Integer.MAX_VALUE);

        Guest(byte[] program) throws Exception {
            machine =
                    new AcceleratedMachine(
                            process.vmm,
                            new KvmAccelerator(new KvmType(), kernel, process.loop),
                            "pc-i440fx-10.2",
                            RAM,
                            null,
                            1,
                            "qemu64,kvmclock=on");
            process.lock.acquire();
            try {
                machine.interruptSections().forEach(machine.state()::register);
                machine.state().register(machine.intervalTimer());
                AddressSpace memory = machine.memory();
                memory.begin();
                memory.mapRam("ram", 0, RAM, machine.ram(), 0, 0);
                RamBlock rom = machine.newBlock("pc.bios", 1 << 16, 1 << 16);
                memory.mapRam("rom", 0xffff0000L, 1 << 16, rom, 0, 1).readOnly(true);
                memory.mapIo("register", 0xd0000, 0x1000, 1, recorder(register, 0x10));
                memory.commit();
                machine.ports().mapIo("port", 0x300, 2, 0, recorder(port, 0));
                // The reset vector: jmp 0:7c00
                copy(new byte[] {(byte) 0xea, 0x00, 0x7c, 0, 0}, rom.memory(), 0xfff0);
                copy(program, machine.ram().memory(), START);
            } finally {
                process.lock.release();
            }
        }

        private IoHandler recorder(BlockingQueue<Integer> seen, int writeOffset) {
            return new IoHandler() {
                @Override
                public long read(long offset, int size) {
                    return 0xabcd_1200L + offset;
                }

                @Override
                public void write(long offset, int size, long value) {
                    seen.add(offset == writeOffset && size == 2 ? (int) value : -1);
                    enough.countDown();
                }
            };
        }

        void runUntilWrites(int writes) throws Exception {
            enough = new CountDownLatch(writes);
            process.lock.run(
                    () -> {
                        process.clocks.startVirtual();
                        machine.vcpus().resumeAll();
                    });
            assertTrue(enough.await(30, TimeUnit.SECONDS), "the guest ran: " + process.reports);
            process.lock.run(
                    () -> {
                        process.clocks.stopVirtual();
                        machine.vcpus().pauseAll();
                    });
        }

        int memory16(long address) {
            return machine.ram().memory().get(ValueLayout.JAVA_SHORT_UNALIGNED, address) & 0xffff;
        }

        Map<String, byte[]> save() throws Exception {
            Map<String, byte[]> out = new LinkedHashMap<>();
            process.lock.acquire();
            try {
                for (StateSection s : process.state.sections()) {
                    s.beforeSave();
                    StateOutput bytes = new StateOutput(4096);
                    new SavingCodec(bytes, Description.none()).inPlace(s);
                    out.put(s.name() + "/" + s.instance(), bytes.toByteArray());
                }
            } finally {
                process.lock.release();
            }
            return out;
        }

        void load(Map<String, byte[]> sections) throws Exception {
            process.lock.acquire();
            try {
                for (StateSection s : process.state.sections()) {
                    byte[] bytes = section(sections, s.name() + "/" + s.instance());
                    new LoadingCodec(new StateInput(new ByteArrayInputStream(bytes)))
                            .content(s, s.version());
                }
            } finally {
                process.lock.release();
            }
        }

        @Override
        public void close() {
            process.lock.run(machine::close);
            process.close();
        }
    }

    private static byte[] section(Map<String, byte[]> all, String name) {
        byte[] content = all.get(name);
        assertNotNull(content, name);
        return content == null ? new byte[0] : content;
    }

    private static void copy(byte[] bytes, MemorySegment target, long offset) {
        MemorySegment.copy(bytes, 0, target, ValueLayout.JAVA_BYTE, offset, bytes.length);
    }

    @Test
    void aGuestRunsAndItsStateGoesOnInAnotherMachine() throws Exception {
        try (Guest first = new Guest(COUNTER);
                Guest second = new Guest(new byte[0])) {
            first.runUntilWrites(101);
            int n = first.port.size();
            for (int i = 1; i <= n; i++) {
                assertEquals(i, first.port.take());
            }
            assertEquals(0x1220, first.memory16(0x2000));
            assertEquals(0x1200, first.memory16(0x3000));

            Map<String, byte[]> state = first.save();
            // As long as QEMU 10.2's sections, counted in a stream of its own.
            assertEquals(181, section(state, "apic/0").length);
            assertEquals(24, section(state, "timer/0").length);
            assertEquals(8, section(state, "cpu_common/0").length);
            assertEquals(144, section(state, "kvm-tpr-opt/0").length);
            assertEquals(41, section(state, "kvmclock/0").length);
            assertEquals(16, section(state, "i8259/0").length);
            assertEquals(16, section(state, "i8259/1").length);
            assertEquals(206, section(state, "ioapic/0").length);
            assertEquals(108, section(state, "i8254/0").length);
            assertTrue(section(state, "cpu/0").length >= 1817);

            MemorySegment.copy(
                    first.machine.ram().memory(), 0, second.machine.ram().memory(), 0, RAM);
            second.load(state);
            Map<String, byte[]> again = second.save();
            for (String name :
                    new String[] {"cpu_common/0", "kvm-tpr-opt/0", "i8259/0", "ioapic/0"}) {
                assertArrayEquals(section(state, name), section(again, name), name);
            }
            second.runUntilWrites(20);
            int next = second.port.take();
            assertTrue(next == n || next == n + 1, "went on with " + next + " after " + n);
            assertEquals(next + 1, second.port.take());
            assertTrue(first.process.reports.stream().noneMatch(r -> r.contains("KVM internal")));
        }
    }

    @Test
    void guestAndDeviceWritesAreLogged() throws Exception {
        try (Guest guest = new Guest(COUNTER)) {
            guest.runUntilWrites(10);
            long[] bitmap = new long[RAM / RamBlock.PAGE / 64];
            guest.process.lock.run(() -> guest.machine.dirtyLog().start());
            guest.runUntilWrites(10);
            guest.process.lock.run(
                    () -> {
                        guest.machine.dma().writeInt(0x5ffe, 1);
                        guest.machine.dirtyLog().collect(guest.machine.ram(), bitmap);
                    });
            long pages = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6;
            assertEquals(pages, bitmap[0], "pages " + Long.toBinaryString(bitmap[0]));
            long[] later = new long[bitmap.length];
            guest.process.lock.run(
                    () -> guest.machine.dirtyLog().collect(guest.machine.ram(), later));
            assertEquals(0, later[0]);
            guest.process.lock.run(() -> guest.machine.dirtyLog().stop());
        }
    }

    @Test
    void aTripleFaultAsksForAReset() throws Exception {
        // lidt of an empty table; protected mode; ud2
        byte[] program = HexFormat.of().parseHex("fa0f011e007d0f20c00c010f22c00f0b");
        try (Guest guest = new Guest(program)) {
            CountDownLatch asked = new CountDownLatch(1);
            guest.process.onRequest = asked::countDown;
            guest.process.lock.run(() -> guest.machine.vcpus().resumeAll());
            assertTrue(asked.await(10, TimeUnit.SECONDS), "reports: " + guest.process.reports);
            assertTrue(guest.process.requests.getFirst().startsWith("requestReset"));
            copy(COUNTER, guest.machine.ram().memory(), START);
            guest.process.lock.run(
                    () -> {
                        guest.machine.vcpus().pauseAll();
                        guest.machine.reset();
                    });
            guest.runUntilWrites(5);
            assertEquals(1, guest.port.take());
        }
    }

    @Test
    void romIsNotWrittenAndUnmappedMemoryReadsAsZeroes() throws Exception {
        try (Guest guest = new Guest(COUNTER)) {
            guest.process.lock.run(
                    () -> {
                        guest.machine.dma().writeByte(0xfffffff0L, 0);
                        assertEquals(0xea, guest.machine.dma().readByte(0xfffffff0L));
                        assertEquals(0, guest.machine.dma().readInt(0x8000_0000L));
                        assertEquals(0xff, guest.machine.ports().read(0x1234, 1));
                    });
            assertFalse(guest.machine.dirtyLog().recording());
        }
    }

    /** A clock that ticked before the load leaves no interrupt of its own in what is loaded. */
    @Test
    void interruptControllersAreWhatWasLoaded() throws Exception {
        try (Guest guest = new Guest(COUNTER)) {
            Map<String, byte[]> quiet = guest.save();
            guest.process.lock.run(
                    () -> {
                        guest.machine.gsi(8).set(true);
                        guest.machine.gsi(8).set(false);
                    });
            guest.load(quiet);
            Map<String, byte[]> loaded = guest.save();
            for (String chip : new String[] {"i8259/0", "i8259/1", "ioapic/0"}) {
                assertArrayEquals(section(quiet, chip), section(loaded, chip), chip);
            }
        }
    }
}
