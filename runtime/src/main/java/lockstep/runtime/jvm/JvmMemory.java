package lockstep.runtime.jvm;

import lockstep.runtime.linux.HostPairs;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.MemoryAccelerator;
import lockstep.runtime.memory.RamBlock;
import lockstep.x86.PhysicalMemory;
import lockstep.x86.Processor;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Guest memory as the software processors see it, and the log of what they write. Under the machine lock. */
final class JvmMemory implements MemoryAccelerator {
    private final PhysicalMemory memory =
            new PhysicalMemory(HostPairs.available() ? HostPairs::exchange : null);
    private final Turn turn;
    private final List<Processor> processors = new ArrayList<>();
    private List<Piece> pieces = List.of();
    private boolean logging;

    JvmMemory(Turn turn) {
        this.turn = turn;
    }

    PhysicalMemory physical() {
        return memory;
    }

    void add(Processor p) {
        processors.add(p);
    }

    private void still(Runnable change) {
        turn.close();
        try {
            change.run();
        } finally {
            turn.open();
        }
    }

    @Override
    public void map(List<Piece> now) {
        List<Piece> copy = List.copyOf(now);
        still(
                () -> {
                    if (logging) {
                        pieces.forEach(this::collect);
                    }
                    memory.map(
                            copy.stream()
                                    .map(
                                            p ->
                                                    new PhysicalMemory.Piece(
                                                            p.address(),
                                                            p.block()
                                                                    .memory()
                                                                    .asSlice(
                                                                            p.offset(), p.length()),
                                                            p.readOnly()))
                                    .toList());
                    watch(copy);
                    processors.forEach(Processor::flushNow);
                });
    }

    /** Devices and the monitor write to blocks, of which the processors must know where code is. */
    private void watch(List<Piece> now) {
        pieces.forEach(p -> p.block().watch(AnonymousRam.UNWATCHED));
        pieces = now;
        for (Piece p : now) {
            AnonymousRam block = p.block();
            block.watch((offset, length) -> written(block, offset, length));
        }
    }

    private void written(RamBlock block, long offset, long length) {
        for (Piece p : pieces) {
            if (p.block() == block) {
                long from = Math.max(offset, p.offset());
                long to = Math.min(offset + length, p.offset() + p.length());
                if (from < to) {
                    memory.wroteFromOutside(p.address() + from - p.offset(), to - from);
                }
            }
        }
    }

    @Override
    public void logWrites(boolean on) {
        if (logging != on) {
            logging = on;
            still(
                    () -> {
                        memory.log(on);
                        processors.forEach(Processor::flushWritesNow);
                    });
        }
    }

    @Override
    public void syncLog(AnonymousRam block) {
        still(
                () -> {
                    for (Piece p : pieces) {
                        if (p.block() == block) {
                            collect(p);
                        }
                    }
                    processors.forEach(Processor::flushWritesNow);
                });
    }

    private void collect(Piece p) {
        long[] log = memory.takeLog(p.address());
        if (log != null) {
            p.block()
                    .mergeDirty(
                            MemorySegment.ofArray(log),
                            p.offset() / RamBlock.PAGE,
                            p.length() / RamBlock.PAGE);
        }
    }

    void close() {
        pieces.forEach(p -> p.block().watch(AnonymousRam.UNWATCHED));
        pieces = List.of();
    }
}
