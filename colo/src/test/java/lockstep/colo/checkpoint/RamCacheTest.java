package lockstep.colo.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.migration.RamSink;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;

/** A cache over 40 MiB and a bit: few pages are copied by one thread, many by all. */
class RamCacheTest {
    private static final int PAGES = 10_007;

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 500, 3_000, 20_000})
    void aFlushIsThePrimarysRam(int changes) throws Exception {
        Random random = new Random(changes);
        try (AnonymousRam ram = ram("ram");
                AnonymousRam expected = ram("expected");
                RamCache cache = new RamCache(List.of(ram))) {
            BlockDirtyLog log = new BlockDirtyLog(() -> List.of(ram), null);
            log.start();
            cache.begin(log);
            RamSink sink = cache.caching();
            for (int round = 1; round <= 3; round++) {
                for (int i = 0; i < changes; i++) {
                    long theirs = page(random);
                    store(sink.memory(ram), theirs, round * 1000L + i);
                    sink.written(ram, theirs);
                    store(expected.memory(), theirs, round * 1000L + i);
                    long ours = page(random);
                    store(ram.memory(), ours, -1);
                    ram.markDirty(ours, 8);
                }
                cache.flush(log);
                assertEquals(
                        -1,
                        MemorySegment.mismatch(
                                ram.memory(), 0, length(), expected.memory(), 0, length()));
            }
        }
    }

    private static AnonymousRam ram(String name) throws Exception {
        return new AnonymousRam(name, length(), length());
    }

    private static long length() {
        return (long) PAGES * RamBlock.PAGE;
    }

    private static long page(Random random) {
        return (long) random.nextInt(PAGES) * RamBlock.PAGE;
    }

    private static void store(MemorySegment memory, long offset, long value) {
        memory.set(ValueLayout.JAVA_LONG, offset, value);
    }
}
