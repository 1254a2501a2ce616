package lockstep.devices.ide;

import lockstep.block.Completion;
import lockstep.block.node.Pieces;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Queue;

/** A medium in memory whose requests wait until they are run. */
final class FakeDisk implements Disk {
    final byte[] bytes;
    final Queue<Runnable> waiting = new ArrayDeque<>();
    final StringBuilder discarded = new StringBuilder();
    final StringBuilder moves = new StringBuilder();
    boolean present = true;
    boolean cache = true;

    /** Whether what waits is kept for a retry. */
    boolean keeping;

    /** What reads and writes end with. */
    int error;

    FakeDisk(int sectors) {
        bytes = new byte[sectors * 512];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (i * 31 + i / 512 * 7);
        }
    }

    int word(int at) {
        return MemorySegment.ofArray(bytes).get(ValueLayout.JAVA_INT_UNALIGNED, at);
    }

    void run() {
        Runnable next = waiting.poll();
        if (next != null) {
            next.run();
        }
    }

    @Override
    public boolean present() {
        return present;
    }

    @Override
    public boolean readOnly() {
        return false;
    }

    @Override
    public long length() {
        return present ? bytes.length : 0;
    }

    @Override
    public void trayMoved(boolean open) {
        moves.append(open ? "open " : "closed ");
    }

    @Override
    public void read(long offset, Pieces target, Completion done) {
        waiting.add(
                () -> {
                    if (error == 0) {
                        target.copyFrom(MemorySegment.ofArray(bytes).asSlice(offset));
                    }
                    done.complete(error);
                });
    }

    @Override
    public void write(long offset, Pieces source, Completion done) {
        waiting.add(
                () -> {
                    if (error == 0) {
                        source.copyTo(MemorySegment.ofArray(bytes).asSlice(offset));
                    }
                    done.complete(error);
                });
    }

    @Override
    public void flush(Completion done) {
        waiting.add(() -> done.complete(0));
    }

    @Override
    public void discard(long offset, long length, Completion done) {
        discarded.append(offset / 512 + "*512+" + length / 512 + "*512 ");
        waiting.add(() -> done.complete(0));
    }

    @Override
    public void writeCache(boolean on) {
        cache = on;
    }

    @Override
    public boolean writeCache() {
        return cache;
    }

    @Override
    public void drain() {
        while (!waiting.isEmpty()) {
            run();
        }
    }

    @Override
    public boolean cancelKept() {
        if (keeping) {
            waiting.clear();
        }
        return waiting.isEmpty();
    }
}
