package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Pieces;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * A disk in memory that grows when it is written. Each request happens at one moment; hooks run
 * before it, with nothing held, and may delay or refuse it. It keeps a journal of what reached it,
 * so that a test can see what a crash would leave.
 */
public final class MemoryNode extends BlockNode {
    /** Runs before a request, on its thread. */
    @FunctionalInterface
    public interface Hook {
        /** A request comes in; what it throws is how the request ends. */
        void before(long offset, long length) throws BlockException;
    }

    private static final Hook NOTHING = (offset, length) -> {};

    /**
     * Something that reached the disk.
     *
     * @param at where bytes were written; -1 for the end of a flush
     * @param durable for a flush, how many entries of the journal were there when it began
     */
    private record Entry(long at, byte[] data, int durable) {}

    private final byte[] initial;
    private final List<Entry> journal = new ArrayList<>();
    private byte[] bytes;
    private int length;
    private boolean remembers = true;
    private long most = Integer.MAX_VALUE / 4;
    private volatile Hook beforeRead = NOTHING;
    private volatile Hook beforeWrite = NOTHING;
    private volatile Hook beforeFlush = NOTHING;

    private MemoryNode(BlockGraph graph, byte[] content) {
        super(graph, "memory", graph.autoName(), false);
        initial = content.clone();
        bytes = content.clone();
        length = content.length;
    }

    /** A disk with this content; the caller holds a reference. */
    public static MemoryNode of(BlockGraph graph, byte[] content) throws BlockException {
        return graph.add(new MemoryNode(graph, content));
    }

    /** Keeps no journal. */
    public void remembersNothing() {
        remembers = false;
    }

    /** What would be behind this many bytes cannot be written: the device is full. */
    public void endsAt(long bytes) {
        most = bytes;
    }

    public void beforeRead(Hook hook) {
        beforeRead = hook;
    }

    public void beforeWrite(Hook hook) {
        beforeWrite = hook;
    }

    public void beforeFlush(Hook hook) {
        beforeFlush = hook;
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        beforeRead.before(offset, destination.byteSize());
        synchronized (this) {
            checkRange(offset, destination.byteSize(), length() + (1L << 21));
            for (long i = 0; i < destination.byteSize(); ) {
                long there = Math.max(0, Math.min(destination.byteSize() - i, length - offset - i));
                if (there == 0) {
                    destination.slice(i).zero();
                    break;
                }
                destination
                        .slice(i, there)
                        .copyFrom(MemorySegment.ofArray(bytes).asSlice(offset + i));
                i += there;
            }
        }
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        beforeWrite.before(offset, source.byteSize());
        if (offset < 0 || offset > most - source.byteSize()) {
            throw new BlockException(Errno.ENOSPC);
        }
        byte[] data = new byte[(int) source.byteSize()];
        source.copyTo(MemorySegment.ofArray(data));
        synchronized (this) {
            int end = (int) offset + data.length;
            if (end > bytes.length) {
                bytes = Arrays.copyOf(bytes, end * 2);
            }
            System.arraycopy(data, 0, bytes, (int) offset, data.length);
            length = Math.max(length, end);
            if (remembers) {
                journal.add(new Entry(offset, data, 0));
            }
        }
    }

    @Override
    protected void flush() throws BlockException {
        int durable = written();
        beforeFlush.before(0, 0);
        synchronized (this) {
            if (remembers) {
                journal.add(new Entry(-1, new byte[0], durable));
            }
        }
    }

    @Override
    protected synchronized long length() {
        return length + 511 & -512;
    }

    @Override
    protected synchronized void truncate(long wanted) throws BlockException {
        if (wanted > most) {
            throw new BlockException(Errno.ENOSPC);
        }
        bytes = Arrays.copyOf(bytes, (int) wanted);
        length = (int) wanted;
    }

    /** How many writes and flushes reached the disk. */
    public synchronized int written() {
        return journal.size();
    }

    /**
     * The disk after a crash.
     *
     * @param entries how many writes and flushes had reached it
     * @param losing decides which of those writes were lost that no flush covers; null for none
     */
    public synchronized byte[] after(int entries, @Nullable Random losing) {
        int durable = 0;
        for (Entry entry : journal.subList(0, entries)) {
            if (entry.at < 0) {
                durable = Math.max(durable, entry.durable);
            }
        }
        byte[] disk = initial.clone();
        for (int i = 0; i < entries; i++) {
            Entry entry = journal.get(i);
            if (entry.at >= 0 && (losing == null || i < durable || losing.nextBoolean())) {
                int end = (int) entry.at + entry.data.length;
                disk = end > disk.length ? Arrays.copyOf(disk, end) : disk;
                System.arraycopy(entry.data, 0, disk, (int) entry.at, entry.data.length);
            }
        }
        return disk;
    }
}
