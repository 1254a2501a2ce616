package lockstep.x86;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Whatever bytes a guest executes, the processor goes on or stands still in a way that is known, and comes back when it
 * is asked to. The property {@code lockstep.random.seconds} says how long each mode is tried, and {@code
 * lockstep.random.seed} with which bytes it begins; each further round is that of the next number.
 */
final class RandomCodeTest {
    private static final int SECONDS = Integer.getInteger("lockstep.random.seconds", 10);
    private static final long SEED = Long.getLong("lockstep.random.seed", 1);
    private static final int RAM = 1 << 20;

    enum Mode {
        REAL,
        PROTECTED_16,
        PROTECTED_32,
        VIRTUAL_8086,
        COMPATIBILITY,
        LONG
    }

    @ParameterizedTest
    @EnumSource
    void noBytesEndTheProcessor(Mode mode) throws InterruptedException {
        Random random = new Random();
        long seed = SEED;
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
        try (Arena arena = Arena.ofShared()) {
            MemorySegment ram = arena.allocate(RAM, 4096);
            PhysicalMemory memory = new PhysicalMemory(null);
            memory.map(
                    List.of(
                            new PhysicalMemory.Piece(0, ram.asSlice(0, RAM / 2), false),
                            new PhysicalMemory.Piece(RAM / 2, ram.asSlice(RAM / 2), true)));
            Noise bus = new Noise(random);
            Processor p = new Processor(bus, memory, everything());
            bus.processor = p;
            AtomicBoolean over = new AtomicBoolean();
            Thread alarm = Thread.ofPlatform().daemon(true).start(() -> kick(p, over));
            do {
                random.setSeed(seed << 3 | mode.ordinal());
                fill(ram, random, mode);
                p.forgetRequests();
                p.load(start(mode, random));
                assertTimeoutPreemptively(Duration.ofSeconds(60), () -> run(p, random));
                p.save(new Registers());
                seed++;
            } while (System.nanoTime() < end);
            over.set(true);
            alarm.join();
        } catch (RuntimeException | Error e) {
            throw new AssertionError("-Dlockstep.random.seed=" + seed + ": " + e, e);
        }
    }

    /** By the interpreter, and then blocks from here and there as if they had run often. */
    private static void run(Processor p, Random random) throws ReflectiveOperationException {
        for (int i = 0; i < 3; i++) {
            Processor.Exit exit = p.run();
            assertNotNull(exit);
            if (exit != Processor.Exit.KICKED) {
                break;
            }
        }
        Cpu c = p.cpu();
        CodeCache code = new CodeCache(c);
        for (int i = 0; i < 4; i++) {
            c.rip = random.nextInt(0xf000);
            try {
                Block b = code.find(c.base[Cpu.CS] + c.rip & 0xffffffffL, c.mode);
                List<Block> all = b.dead ? List.of(b) : code.around(b, 0);
                Translator.publish(all, Translator.translate(all));
                c.blockEnd = 1;
                Objects.requireNonNull(b.trace).run(c, b.entry);
            } catch (GuestFault fault) {
                assertTrue(fault.vector < 32);
            }
        }
    }

    /** As long as somebody may be in a loop of the guest's. */
    private static void kick(Processor p, AtomicBoolean over) {
        while (!over.get()) {
            try {
                Thread.sleep(5);
            } catch (InterruptedException e) {
                return;
            }
            p.kick();
        }
    }

    private static void fill(MemorySegment ram, Random random, Mode mode) {
        for (long at = 0; at < RAM; at += 8) {
            ram.set(ValueLayout.JAVA_LONG, at, random.nextLong());
        }
        // Opcodes of two bytes and prefixes are more frequent than chance has them.
        for (int i = 0; i < RAM / 24; i++) {
            ram.set(ValueLayout.JAVA_BYTE, random.nextInt(RAM), (byte) 0x0f);
            ram.set(ValueLayout.JAVA_BYTE, random.nextInt(RAM), (byte) (0x40 | random.nextInt(16)));
            ram.set(ValueLayout.JAVA_BYTE, random.nextInt(RAM), (byte) 0x66);
        }
        if (mode == Mode.LONG || mode == Mode.COMPATIBILITY) {
            // The first megabyte where it is, with rights that vary.
            long tables = 0x10000;
            ram.set(ValueLayout.JAVA_LONG, tables, tables + 0x1007);
            ram.set(ValueLayout.JAVA_LONG, tables + 0x1000, tables + 0x2007);
            ram.set(ValueLayout.JAVA_LONG, tables + 0x2000, tables + 0x3007);
            for (int i = 0; i < 256; i++) {
                long bits = random.nextInt(8) == 0 ? random.nextInt(8) : 7;
                ram.set(ValueLayout.JAVA_LONG, tables + 0x3000 + i * 8L, i * 4096L | bits);
            }
        }
        // Descriptor tables: anything, but for the first few selectors, which are usable.
        for (int i = 0; i < 16; i++) {
            long code = (i & 1) == 0 ? 0x00cf9b000000ffffL : 0x00cf93000000ffffL;
            ram.set(ValueLayout.JAVA_LONG_UNALIGNED, 0x8000 + i * 8L, code | (i & 2L) << 44);
        }
    }

    private static Registers start(Mode mode, Random random) {
        Registers r = new Registers();
        for (int i = 0; i < 16; i++) {
            r.general[i] =
                    random.nextBoolean() ? random.nextInt(RAM) : random.nextLong() >> random.nextInt(64);
        }
        r.rip = random.nextInt(0xf000);
        r.general[Cpu.RSP] = 0x7000;
        r.rflags = 2 | random.nextInt(0x1000) & 0xed5;
        boolean real = mode == Mode.REAL;
        boolean virtual = mode == Mode.VIRTUAL_8086;
        boolean small = real || virtual || mode == Mode.PROTECTED_16;
        for (int i = 0; i < 6; i++) {
            Registers.Segment s = r.segments[i];
            s.selector = real || virtual ? random.nextInt(0x1000) : 8 * random.nextInt(16);
            s.base = real || virtual ? (long) s.selector << 4 : 0;
            s.limit = small ? 0xffff : -1;
            int size = mode == Mode.LONG && i == Cpu.CS ? Cpu.L : small ? 0 : Cpu.DB;
            s.attributes =
                    Cpu.P | Cpu.S | (i == Cpu.CS && !virtual ? 0xb00 : 0x300) | size
                            | (virtual ? 3 << 13 : 0);
        }
        r.segments[Cpu.TR].attributes = Cpu.P | 11 << 8;
        r.segments[Cpu.TR].limit = 0xffff;
        r.segments[Cpu.TR].base = 0x20000;
        r.gdtBase = 0x8000;
        r.gdtLimit = 0xffff;
        r.idtBase = 0x30000;
        r.idtLimit = 0xffff;
        r.cr0 = real ? 0x10 : 0x11;
        r.cr4 = 0x600;
        r.fcw = 0x37f;
        r.mxcsr = 0x1f80;
        r.xcr0 = 3;
        if (virtual) {
            r.rflags |= Cpu.VM | Cpu.IOPL;
        }
        if (mode == Mode.LONG || mode == Mode.COMPATIBILITY) {
            r.cr0 = 0x80010011L;
            r.cr3 = 0x10000;
            r.cr4 |= Cpu.PAE;
            r.efer = Cpu.LME | Cpu.LMA | Cpu.SCE | Cpu.NXE;
        }
        return r;
    }

    private static CpuidTable everything() {
        return new CpuidTable(
                List.of(
                        new CpuidTable.Leaf(0, 0, false, 0xd, 0, 0, 0),
                        new CpuidTable.Leaf(1, 0, false, 0, 0, -1, -1),
                        new CpuidTable.Leaf(7, 0, true, 0, -1, -1, -1),
                        new CpuidTable.Leaf(0x80000001, 0, false, 0, 0, -1, -1)),
                40);
    }

    /** Devices that answer anything. */
    private static final class Noise extends NoBus {
        private final Random random;
        private @Nullable Processor processor;

        Noise(Random random) {
            this.random = random;
        }

        @Override
        public long readMemory(long address, int size) {
            return random.nextLong() & (size == 8 ? -1 : (1L << size * 8) - 1);
        }

        @Override
        public int readPort(int port, int size) {
            Processor p = processor;
            if (p != null) {
                p.interrupt(random.nextBoolean());
            }
            return random.nextInt();
        }

        @Override
        public void writePort(int port, int size, int value) {
            Processor p = processor;
            if (p != null && random.nextInt(16) == 0) {
                p.nmi();
            }
        }

        @Override
        public int acknowledge() {
            return random.nextInt(256);
        }

        @Override
        public long timestamp() {
            return System.nanoTime();
        }

    }
}
