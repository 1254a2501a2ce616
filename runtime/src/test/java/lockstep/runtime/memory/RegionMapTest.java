package lockstep.runtime.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.memory.MemoryAccelerator.Piece;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class RegionMapTest {
    private static final int PAGE = RamBlock.PAGE;

    private static final class Slots implements MemoryAccelerator {
        List<Piece> pieces = List.of();
        int calls;

        @Override
        public void map(List<Piece> now) {
            pieces = now;
            calls++;
        }

        @Override
        public void logWrites(boolean on) {}

        @Override
        public void syncLog(AnonymousRam block) {}
    }

    /** Remembers accesses as {@code r1@3}; reads as its offset repeated. */
    private static final class Recorder implements IoHandler {
        final List<String> seen = new ArrayList<>();
        private final int min;
        private final int max;

        Recorder(int min, int max) {
            this.min = min;
            this.max = max;
        }

        @Override
        public long read(long offset, int size) {
            seen.add("r" + size + "@" + offset);
            return 0x0101010101010101L * (offset & 0xff);
        }

        @Override
        public void write(long offset, int size, long value) {
            seen.add("w" + size + "@" + offset + "=" + Long.toHexString(value));
        }

        @Override
        public int minAccess() {
            return min;
        }

        @Override
        public int maxAccess() {
            return max;
        }
    }

    @Test
    void ofOverlappingRegionsTheHigherIsSeenWhateverTheOrder() throws Exception {
        Random random = new Random(7);
        try (AnonymousRam ram = new AnonymousRam("r", 64 * PAGE, 64 * PAGE)) {
            for (int round = 0; round < 200; round++) {
                Slots slots = new Slots();
                RegionMap map = RegionMap.memory(slots);
                int[] owner = new int[64];
                int[] best = new int[64];
                Arrays.fill(owner, -1);
                Arrays.fill(best, Integer.MIN_VALUE);
                map.begin();
                for (int i = 0; i < 12; i++) {
                    int start = random.nextInt(60);
                    int length = 1 + random.nextInt(64 - start);
                    int priority = random.nextInt(4);
                    map.mapRam("" + i, (long) start * PAGE, (long) length * PAGE, ram, 0, priority);
                    for (int p = start; p < start + length; p++) {
                        if (priority >= best[p]) {
                            best[p] = priority;
                            owner[p] = (p - start) * PAGE;
                        }
                    }
                }
                map.commit();
                assertEquals(1, slots.calls);
                int[] got = new int[64];
                Arrays.fill(got, -1);
                for (Piece p : slots.pieces) {
                    for (long at = 0; at < p.length(); at += PAGE) {
                        got[(int) ((p.address() + at) / PAGE)] = (int) (p.offset() + at);
                    }
                }
                assertArrayEquals(owner, got, "round " + round);
            }
        }
    }

    @Test
    void romAndRamAreSwitchedAtRunTime() throws Exception {
        Slots slots = new Slots();
        RegionMap map = RegionMap.memory(slots);
        try (AnonymousRam ram = new AnonymousRam("r", 16 * PAGE, 16 * PAGE)) {
            map.mapRam("all", 0, 16 * PAGE, ram, 0, 0);
            assertEquals(1, slots.pieces.size());
            AddressSpace.Region shadow = map.mapRam("pam", 4 * PAGE, PAGE, ram, 4 * PAGE, 1);
            assertEquals(1, slots.pieces.size(), "seamless pieces are one");
            shadow.readOnly(true);
            assertEquals(3, slots.pieces.size());
            map.write(4 * PAGE, 4, 0x11223344);
            assertEquals(0, map.read(4 * PAGE, 4));
            shadow.readOnly(false);
            map.write(4 * PAGE - 2, 4, 0x11223344);
            assertEquals(0x11223344, map.read(4 * PAGE - 2, 4));
            Recorder device = new Recorder(1, 4);
            map.mapIo("registers", 8 * PAGE + 16, 32, 2, device);
            // The page is emulated as a whole, around the device still with RAM's content.
            assertTrue(slots.pieces.stream().noneMatch(p -> p.address() == 8 * PAGE));
            map.write(8 * PAGE, 8, 0x8877665544332211L);
            assertEquals(0x8877665544332211L, map.read(8 * PAGE, 8));
        }
    }

    @Test
    void accessesAreSplitToWhatTheHandlerTakes() {
        RegionMap memory = RegionMap.memory(null);
        RegionMap ports = RegionMap.ports();
        Recorder bytes = new Recorder(1, 1);
        Recorder words = new Recorder(2, 4);
        ports.mapIo("bytes", 0x3c0, 16, 0, bytes);
        memory.mapIo("words", 0x1000, 0x100, 0, words);

        ports.write(0x3c4, 2, 0x0f02);
        assertEquals(List.of("w1@4=2", "w1@5=f"), bytes.seen);
        assertEquals(0x0605, ports.read(0x3c5, 2));
        // Half in the range, half beyond.
        assertEquals(0xffffff0fL, ports.read(0x3cf, 4));

        assertEquals(8, memory.read(0x1008, 1));
        assertEquals("r2@8", words.seen.removeLast());
        memory.write(0x1010, 8, 0x1122334455667788L);
        assertEquals(List.of("w4@16=55667788", "w4@20=11223344"), words.seen);
        words.seen.clear();
        memory.read(0x1003, 4);
        assertEquals(List.of("r2@3", "r2@4", "r2@6"), words.seen);
        assertEquals(0, memory.read(0x5000, 8));
        memory.write(0x5000, 8, 1);
    }

    @Test
    void portsKeepUnalignedAccessesWhole() {
        RegionMap ports = RegionMap.ports();
        Recorder vbe = new Recorder(1, 2);
        ports.mapIo("vbe", 0x1ce, 3, 0, vbe);
        ports.write(0x1cf, 2, 0x1234);
        assertEquals(List.of("w2@1=1234"), vbe.seen);
    }

    @Test
    void regionsBeyondTheAddressSpaceAreNotSeen() {
        RegionMap map = RegionMap.memory(null);
        Recorder device = new Recorder(1, 4);
        AddressSpace.Region bar = map.mapIo("bar", 0xffff_ffff_ffff_f000L, 0x2000, 0, device);
        assertEquals(0, map.read(0xffff_ffff_ffff_f000L, 1));
        bar.move(RegionMap.MEMORY_END - 0x1000);
        assertEquals(4, map.read(RegionMap.MEMORY_END - 0xffc, 1));
        assertEquals(0, map.read(RegionMap.MEMORY_END, 1));
        bar.enabled(false);
        assertEquals(0, map.read(RegionMap.MEMORY_END - 0xffc, 1));
    }

    @Test
    void dirtyBitmapsMergeAtAnyPageOffset() throws Exception {
        try (AnonymousRam ram = new AnonymousRam("r", 256 * PAGE, 256 * PAGE);
                Arena arena = Arena.ofConfined()) {
            ram.startDirty();
            MemorySegment log = arena.allocate(16, 8);
            log.setAtIndex(ValueLayout.JAVA_LONG, 0, 1L | 1L << 63);
            log.setAtIndex(ValueLayout.JAVA_LONG, 1, 1L << 35);
            ram.mergeDirty(log, 20, 100);
            ram.markDirty(2 * PAGE - 1, 2);
            long[] out = new long[4];
            out[0] = 2;
            assertEquals(4, ram.drainDirty(out));
            assertEquals(1L << 1 | 1L << 2 | 1L << 20, out[0]);
            assertEquals(1L << 19 | 1L << (20 + 64 + 35 - 64), out[1]);
            assertEquals(0, ram.drainDirty(new long[4]));
        }
    }
}
