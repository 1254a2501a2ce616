package lockstep.x86;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Two processors on the same memory at the same time: what one step is, in which order accesses are seen, and when code
 * that another one wrote runs (Intel SDM volume 3, chapter 9). Each program runs long enough to be translated.
 */
@Timeout(120)
final class ProcessorsTogetherTest {
    private static final int RAM = 20 << 20;
    private static final long CODE = 0x10000;
    private static final long FUNCTION = 0x18000;
    private static final long DATA = 0x20000;
    private static final long BEGIN = 0x30000;
    private static final long RESULTS = 1 << 20;
    private static final long SECOND_RESULTS = 10 << 20;
    private static final int ROUNDS = 20_000;
    private static final int MANY_ROUNDS = 1_000_000;

    private final Arena arena = Arena.ofAuto();
    private final MemorySegment ram = arena.allocate(RAM, 4096);
    private final PhysicalMemory memory = new PhysicalMemory(null);
    private final ReentrantReadWriteLock turns = new ReentrantReadWriteLock();
    private final List<Runner> runners = new ArrayList<>();

    ProcessorsTogetherTest() {
        memory.map(List.of(new PhysicalMemory.Piece(0, ram, false)));
        ram.set(ValueLayout.JAVA_LONG, 0x1000, 0x2007);
        ram.set(ValueLayout.JAVA_LONG, 0x2000, 0x3007);
        for (int i = 0; i < RAM >> 12; i++) {
            ram.set(ValueLayout.JAVA_LONG, 0x4000 + i * 8L, (long) i << 12 | 7);
        }
        for (int i = 0; i < RAM >> 21; i++) {
            ram.set(ValueLayout.JAVA_LONG, 0x3000 + i * 8L, 0x4007 + i * 0x1000L);
        }
    }

    private long word(long address) {
        return ram.get(ValueLayout.JAVA_LONG_UNALIGNED, address);
    }

    /** A processor at the start of a program, which ends with HLT. */
    private Runner start(String program, long at) {
        byte[] bytes = HexFormat.of().parseHex(program.replaceAll("#.*|\\s", ""));
        MemorySegment.copy(bytes, 0, ram, ValueLayout.JAVA_BYTE, at, bytes.length);
        Runner r = new Runner();
        Registers s = r.registers;
        s.rip = at;
        s.rflags = 2;
        s.cr0 = 0x80010011L;
        s.cr3 = 0x1000;
        s.cr4 = Cpu.PAE | Cpu.OSFXSR;
        s.efer = Cpu.LME | Cpu.LMA;
        s.fcw = 0x37f;
        s.mxcsr = 0x1f80;
        s.xcr0 = 1;
        for (Registers.Segment each : s.segments) {
            each.limit = -1;
            each.attributes = Cpu.P | Cpu.S | 0x300;
        }
        s.segments[Cpu.CS].attributes = Cpu.P | Cpu.S | Cpu.L | 0xb00;
        s.general[Cpu.RSI] = DATA;
        s.general[Cpu.RCX] = ROUNDS;
        s.general[Cpu.RSP] = 0x1f000 - 0x1000L * runners.size();
        runners.add(r);
        return r;
    }

    /** Likewise, but it waits for the other one first. */
    private Runner startTogether(String program, long at) {
        String wait =
                """
                f0ff4500                # lock inc dword [rbp]
                f390                    # wait: pause
                837d0002                # cmp dword [rbp], 2
                72f8                    # jb wait
                """;
        Runner r = start(wait + program, at);
        r.registers.general[Cpu.RBP] = BEGIN;
        return r;
    }

    private void run() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (Runner r : runners) {
            r.processor.load(r.registers);
            threads.add(Thread.ofPlatform().daemon(true).start(r));
        }
        for (Thread t : threads) {
            t.join();
        }
    }

    @Test
    void whatIsLockedIsOneStep() throws InterruptedException {
        String program =
                """
                f048830601              # again: lock add qword [rsi], 1
                f0ff4610                # lock inc dword [rsi+0x10]
                66f083462101            # lock add word [rsi+0x21], 1
                f0806e3001              # lock sub byte [rsi+0x30], 1
                b801000000              # mov eax, 1
                f0480fc14640            # lock xadd [rsi+0x40], rax
                f04883467c01            # lock add qword [rsi+0x7c], 1
                f0488386fc0f000001      # lock add qword [rsi+0xffc], 1
                f048f79690000000        # lock not qword [rsi+0x90]
                f0480fbabe9800000005    # lock btc qword [rsi+0x98], 5
                488b4650                # pair: mov rax, [rsi+0x50]
                488b5658                # mov rdx, [rsi+0x58]
                4889cb                  # mov rbx, rcx
                4989c8                  # mov r8, rcx
                488d5801                # lea rbx, [rax+1]
                488d4a03                # lea rcx, [rdx+3]
                f0480fc74e50            # lock cmpxchg16b [rsi+0x50]
                4c89c1                  # mov rcx, r8
                75df                    # jne pair
                8b86a0000000            # mov eax, [rsi+0xa0]
                678d5001                # one: lea edx, [eax+1]
                f00fb196a0000000        # lock cmpxchg [rsi+0xa0], edx
                75f2                    # jne one
                b801000000              # spin: mov eax, 1
                874660                  # xchg [rsi+0x60], eax
                85c0                    # test eax, eax
                7404                    # je mine
                f390                    # pause
                ebf0                    # jmp spin
                48ff4668                # mine: inc qword [rsi+0x68]
                c7466000000000          # mov dword [rsi+0x60], 0
                48ffc9                  # dec rcx
                0f8567ffffff            # jne again
                f4                      # hlt
                """;
        start(program, CODE);
        start(program, CODE);
        run();
        long n = 2 * ROUNDS;
        assertEquals(n, word(DATA));
        assertEquals(n, word(DATA + 0x10));
        assertEquals(n << 8 & 0xffff00, word(DATA + 0x20));
        assertEquals(-n & 0xff, word(DATA + 0x30));
        assertEquals(n, word(DATA + 0x40));
        assertEquals(n, word(DATA + 0x7c), "across a cache line");
        assertEquals(n, word(DATA + 0xffc), "across a page");
        assertEquals(0, word(DATA + 0x90));
        assertEquals(0, word(DATA + 0x98));
        assertEquals(n, word(DATA + 0x50));
        assertEquals(3 * n, word(DATA + 0x58));
        assertEquals(n, word(DATA + 0xa0));
        assertEquals(n, word(DATA + 0x68), "under a lock");
    }

    @Test
    void storesAreSeenInTheirOrder() throws InterruptedException {
        start(
                """
                31c0                    # xor eax, eax
                48ffc0                  # again: inc rax
                488906                  # mov [rsi], rax
                48898680000000          # mov [rsi+0x80], rax
                4839c8                  # cmp rax, rcx
                72ee                    # jb again
                f4                      # hlt
                """,
                CODE);
        Runner reader =
                start(
                        """
                        31db                    # xor ebx, ebx
                        488b8680000000          # again: mov rax, [rsi+0x80]
                        488b16                  # mov rdx, [rsi]
                        4839c2                  # cmp rdx, rax
                        4883d300                # adc rbx, 0
                        4839c8                  # cmp rax, rcx
                        72ea                    # jb again
                        f4                      # hlt
                        """,
                        CODE + 0x1000);
        runners.forEach(r -> r.registers.general[Cpu.RCX] = 5_000_000);
        run();
        assertEquals(0, reader.after().general[Cpu.RBX], "second stores seen before first ones");
    }

    /** After MFENCE. */
    @Test
    void aFenceKeepsLoadsBehindStores() throws InterruptedException {
        bothStoreAndLoad("0faef0");
    }

    /** After LOCK ADD [RSP-8], 0, which is how Linux does it. */
    @Test
    void aLockedInstructionKeepsLoadsBehindStores() throws InterruptedException {
        bothStoreAndLoad("f048834424f800");
    }

    private void bothStoreAndLoad(String fence) throws InterruptedException {
        int back = -(3 + 3 + fence.length() / 2 + 3 + 4 + 3 + 2);
        String program =
                """
                31c0                    # xor eax, eax
                48ffc0                  # again: inc rax
                488906                  # mov [rsi], rax
                %s
                488b17                  # mov rdx, [rdi]
                498914c0                # mov [r8+rax*8], rdx
                4839c8                  # cmp rax, rcx
                72%02x                    # jb again
                f4                      # hlt
                """
                        .formatted(fence, back & 0xff);
        Runner first = startTogether(program, CODE);
        Runner second = startTogether(program, CODE + 0x1000);
        first.registers.general[Cpu.RDI] = DATA + 0x80;
        second.registers.general[Cpu.RDI] = DATA;
        second.registers.general[Cpu.RSI] = DATA + 0x80;
        first.registers.general[8] = RESULTS;
        second.registers.general[8] = SECOND_RESULTS;
        runners.forEach(r -> r.registers.general[Cpu.RCX] = MANY_ROUNDS);
        run();
        int met = 0;
        for (int i = 1; i <= MANY_ROUNDS; i++) {
            long y = word(RESULTS + i * 8L);
            if (y < MANY_ROUNDS) {
                // The other one's next store was behind this load, so its load is behind this store.
                long x = word(SECOND_RESULTS + (y + 1) * 8);
                assertTrue(x >= i, i + " stored, " + y + " seen; the other then saw " + x);
                met += y > 0 ? 1 : 0;
            }
        }
        assertTrue(met > 0, "they never ran at the same time");
    }

    @Test
    void codeOfAnotherOneRunsOnceItIsThere() throws InterruptedException {
        startTogether(
                """
                31c0                    # xor eax, eax
                ffc0                    # again: inc eax
                894701                  # mov [rdi+1], eax
                8906                    # mov [rsi], eax
                83be8000000000          # cmp dword [rsi+0x80], 0
                74f0                    # je again
                f4                      # hlt
                """,
                CODE);
        Runner caller =
                startTogether(
                        """
                        4531c9                  # xor r9d, r9d
                        4189ca                  # mov r10d, ecx
                        448b06                  # again: mov r8d, [rsi]
                        31c0                    # xor eax, eax
                        0fa2                    # cpuid
                        ffd7                    # call rdi
                        4439c0                  # cmp eax, r8d
                        4983d100                # adc r9, 0
                        41ffca                  # dec r10d
                        75eb                    # jne again
                        ff8680000000            # inc dword [rsi+0x80]
                        f4                      # hlt
                        """,
                        CODE + 0x1000);
        byte[] function = HexFormat.of().parseHex("b800000000c3"); // mov eax, 0; ret
        MemorySegment.copy(function, 0, ram, ValueLayout.JAVA_BYTE, FUNCTION, function.length);
        runners.forEach(r -> r.registers.general[Cpu.RDI] = FUNCTION);
        caller.registers.general[Cpu.RCX] = MANY_ROUNDS;
        run();
        assertEquals(0, caller.after().general[9], "calls that ran what was there before");
    }

    /** Its instruction may still write where code is about to be decoded, without telling. */
    @Test
    void codeIsDecodedWhenEveryOtherOneHasPassedItsInstruction() throws InterruptedException {
        Thread second = secondWhileFirstIsAtADevice();
        second.join(200);
        assertTrue(second.isAlive(), "decoded what the first one may be writing");
        release.countDown();
        second.join();
    }

    @Test
    void oneThatWaitsForADeviceHoldsNobodyUp() throws InterruptedException {
        leavesForDevices = true;
        secondWhileFirstIsAtADevice().join();
        release.countDown();
    }

    private final CountDownLatch arrived = new CountDownLatch(1);
    private final CountDownLatch release = new CountDownLatch(1);
    private boolean leavesForDevices;

    private Thread secondWhileFirstIsAtADevice() throws InterruptedException {
        Runner first = start("e680 f4", CODE); // out 0x80, al; hlt
        Runner second = start("f4", CODE + 0x1000); // hlt
        first.processor.load(first.registers);
        second.processor.load(second.registers);
        Thread.ofPlatform().daemon(true).start(first);
        arrived.await();
        return Thread.ofPlatform().daemon(true).start(second);
    }

    /** Runs its processor to HLT, and keeps others out as a machine does. */
    private final class Runner extends NoBus implements Runnable {
        final Registers registers = new Registers();
        final Processor processor =
                new Processor(
                        this,
                        memory,
                        new CpuidTable(
                                List.of(
                                        new CpuidTable.Leaf(0, 0, false, 1, 0, 0, 0),
                                        new CpuidTable.Leaf(1, 0, false, 0, 0, -1, -1)),
                                40));

        Registers after() {
            Registers r = new Registers();
            processor.save(r);
            return r;
        }

        @Override
        public void run() {
            Processor.Exit exit;
            do {
                turns.readLock().lock();
                try {
                    exit = processor.run();
                } finally {
                    turns.readLock().unlock();
                }
            } while (exit == Processor.Exit.KICKED);
            if (exit != Processor.Exit.HALTED) {
                throw new IllegalStateException(exit.toString());
            }
        }

        @Override
        public void writePort(int port, int size, int value) {
            if (leavesForDevices) {
                processor.leave();
            }
            arrived.countDown();
            try {
                release.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            if (leavesForDevices) {
                processor.enter();
            }
        }

        @Override
        public void alone(Runnable change) {
            processor.leave();
            turns.readLock().unlock();
            while (!turns.writeLock().tryLock()) {
                runners.stream().filter(r -> r != this).forEach(r -> r.processor.kick());
                Thread.onSpinWait();
            }
            processor.enter();
            try {
                change.run();
            } finally {
                processor.leave();
                turns.readLock().lock();
                turns.writeLock().unlock();
                processor.enter();
            }
        }
    }
}
