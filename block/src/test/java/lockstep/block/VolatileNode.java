package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Pieces;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * A file on a host whose power fails: what no flush covers may have reached the disk or not, in any order, writes of
 * several sectors also in part. Several files can be on one host.
 */
public final class VolatileNode extends BlockNode {
    private static final int SECTOR = 512;

    /** What the host's files were asked, in order. */
    public static final class Host {
        private final List<Entry> journal = new ArrayList<>();
        private final List<byte[]> initial = new ArrayList<>();

        /** How much was asked so far. */
        public synchronized int asked() {
            return journal.size();
        }

        private synchronized void ask(Entry entry) {
            journal.add(entry);
        }
    }

    /**
     * One thing asked.
     *
     * @param at where bytes were written; -1 for the end of a flush, -2 for a new length
     * @param number for a flush how much had been asked when it began, else the length
     */
    private record Entry(int file, long at, byte[] data, int number) {
        boolean isFlush() {
            return at == -1;
        }

        byte[] on(byte[] disk) {
            if (at == -2) {
                return Arrays.copyOf(disk, number);
            }
            return put(disk, 0, data.length);
        }

        byte[] put(byte[] disk, int from, int to) {
            int end = (int) at + to;
            byte[] changed = end > disk.length ? Arrays.copyOf(disk, end) : disk;
            System.arraycopy(data, from, changed, (int) at + from, to - from);
            return changed;
        }
    }

    /** Told of each state that a power cut can leave. */
    @FunctionalInterface
    public interface Judge {
        /**
         * The power was cut.
         *
         * @param asked how much had been asked until then
         * @param files the content of the files, in the order in which they were made
         */
        void judge(int asked, byte[][] files) throws Exception;
    }

    private final Host host;
    private final int number;
    private byte[] bytes;

    private VolatileNode(BlockGraph graph, Host host, byte[] content) {
        super(graph, "memory", graph.autoName(), false);
        this.host = host;
        number = host.initial.size();
        host.initial.add(content.clone());
        bytes = content.clone();
    }

    /** A file with this content; the caller holds a reference. */
    public static VolatileNode of(BlockGraph graph, Host host, byte[] content)
            throws BlockException {
        return graph.add(new VolatileNode(graph, host, content));
    }

    @Override
    public String plainFilename() {
        return Integer.toString(number);
    }

    @Override
    protected synchronized void read(long offset, Pieces destination) {
        long there = Math.max(0, Math.min(destination.byteSize(), bytes.length - offset));
        if (there > 0) {
            destination
                    .slice(0, there)
                    .copyFrom(MemorySegment.ofArray(bytes).asSlice(offset, there));
        }
        if (there < destination.byteSize()) {
            destination.slice(there).zero();
        }
    }

    @Override
    protected synchronized void write(long offset, Pieces source) {
        byte[] data = new byte[(int) source.byteSize()];
        source.copyTo(MemorySegment.ofArray(data));
        change(new Entry(number, offset, data, 0));
    }

    @Override
    protected void flush() {
        host.ask(new Entry(number, -1, new byte[0], host.asked()));
    }

    @Override
    protected synchronized long length() {
        return bytes.length + SECTOR - 1 & -SECTOR;
    }

    @Override
    protected synchronized void truncate(long wanted) {
        change(new Entry(number, -2, new byte[0], (int) wanted));
    }

    private void change(Entry entry) {
        host.ask(entry);
        bytes = entry.on(bytes);
    }

    /**
     * Cuts the power after each thing that was asked from {@code first} on. What no flush covered then is there or not
     * in every way that there is when that is at most {@code exhaustive} things, else in some.
     *
     * @return how many states were judged
     */
    public static int cut(Host host, int first, int exhaustive, Random random, Judge judge)
            throws Exception {
        int states = 0;
        List<Entry> journal = host.journal;
        for (int end = first; end <= journal.size(); end++) {
            if (end > 0 && journal.get(end - 1).isFlush()) {
                continue; // no other state than before
            }
            List<Entry> pending = new ArrayList<>();
            byte[][] safe = host.initial.stream().map(byte[]::clone).toArray(byte[][]::new);
            int[] durable = new int[safe.length];
            for (Entry entry : journal.subList(0, end)) {
                if (entry.isFlush()) {
                    durable[entry.file] = Math.max(durable[entry.file], entry.number);
                }
            }
            for (int i = 0; i < end; i++) {
                Entry entry = journal.get(i);
                if (entry.isFlush()) {
                    continue;
                }
                if (i < durable[entry.file]) {
                    safe[entry.file] = entry.on(safe[entry.file]);
                } else {
                    pending.add(entry);
                }
            }
            for (long kept : choices(pending.size(), exhaustive, random)) {
                byte[][] files = Arrays.stream(safe).map(byte[]::clone).toArray(byte[][]::new);
                boolean tears = random.nextInt(4) == 0;
                for (int i = 0; i < pending.size(); i++) {
                    Entry entry = pending.get(i);
                    if (i >= 63 ? random.nextBoolean() : (kept >> i & 1) != 0) {
                        files[entry.file] = entry.on(files[entry.file]);
                    } else if (tears && entry.at >= 0 && entry.data.length > SECTOR) {
                        int part = SECTOR * (1 + random.nextInt(entry.data.length / SECTOR));
                        part = Math.min(part, entry.data.length);
                        files[entry.file] =
                                random.nextBoolean()
                                        ? entry.put(files[entry.file], 0, part)
                                        : entry.put(files[entry.file], part, entry.data.length);
                    }
                }
                judge.judge(end, files);
                states++;
            }
        }
        return states;
    }

    private static long[] choices(int pending, int exhaustive, Random random) {
        if (pending == 0) {
            return new long[] {0};
        }
        // The newest is there: without it the states are those of the cut before.
        if (pending <= exhaustive) {
            long[] all = new long[1 << pending - 1];
            for (int i = 0; i < all.length; i++) {
                all[i] = i | 1L << pending - 1;
            }
            return all;
        }
        long[] some = new long[2 + exhaustive];
        some[0] = -1;
        some[1] = pending < 63 ? 1L << pending - 1 : 0;
        for (int i = 2; i < some.length; i++) {
            some[i] = random.nextLong() & (random.nextBoolean() ? -1 : random.nextLong());
        }
        return some;
    }
}
