package lockstep.block.quorum;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.quorum.QuorumEvents.Operation;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * Driver {@code quorum}. A write works when at least {@code threshold} children did it. With read
 * pattern fifo a read asks the children one after the other; otherwise all are read, and the
 * content that most children agree on wins if at least {@code threshold} do.
 */
public final class QuorumNode extends BlockNode {
    /** How to vote. */
    public record Options(
            int threshold, boolean fifo, boolean blkverify, boolean rewriteCorrupted) {}

    private final int threshold;
    private final boolean fifo;
    private final boolean blkverify;
    private final boolean rewriteCorrupted;
    private final QuorumEvents events;
    private int nextIndex;

    private QuorumNode(
            BlockGraph graph, String name, boolean readOnly, Options options, QuorumEvents events) {
        super(graph, "quorum", name, readOnly);
        this.threshold = options.threshold();
        this.fifo = options.fifo();
        this.blkverify = options.blkverify() && !options.fifo();
        this.rewriteCorrupted = options.rewriteCorrupted() && !options.fifo();
        this.events = events;
    }

    /** Checks the options for a number of children. */
    public static void check(Options options, int children) throws BlockException {
        if (children < 1) {
            throw new BlockException(Errno.EINVAL, "Number of provided children must be 1 or more");
        }
        if (options.threshold() < 1) {
            throw new BlockException(
                    Errno.ERANGE, "Parameter 'vote-threshold' expects a value >= 1");
        }
        if (options.threshold() > children) {
            throw new BlockException(Errno.ERANGE, "threshold may not exceed children count");
        }
        if (!options.fifo() && options.blkverify()) {
            if (children != 2 || options.threshold() != 2) {
                throw new BlockException(
                        Errno.EINVAL,
                        "blkverify=on can only be set if there are exactly two files and"
                                + " vote-threshold is 2");
            }
            if (options.rewriteCorrupted()) {
                throw new BlockException(
                        Errno.EINVAL, "rewrite-corrupted=on cannot be used with blkverify=on");
            }
        }
    }

    /** Makes a quorum of children that the caller opened, and enters it. */
    public static QuorumNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            Options options,
            List<? extends BlockNode> children,
            boolean active,
            QuorumEvents events)
            throws BlockException {
        check(options, children.size());
        QuorumNode node = create(graph, name, readOnly, options, active, events);
        try {
            for (BlockNode child : children) {
                node.attachInitial(child);
            }
            node.checkLengths();
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    /** Enters a quorum whose children follow by {@link #attachInitial}; the options are checked. */
    public static QuorumNode create(
            BlockGraph graph,
            String name,
            boolean readOnly,
            Options options,
            boolean active,
            QuorumEvents events)
            throws BlockException {
        QuorumNode node = new QuorumNode(graph, name, readOnly, options, events);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        return graph.add(node);
    }

    /** Errors when the children attached first have not one length. */
    public void checkLengths() throws BlockException {
        try {
            length();
        } catch (BlockException e) {
            throw new BlockException(
                    e.errno(), "Could not refresh total sector count: " + Errno.text(e.errno()), e);
        }
    }

    /** Attaches one of the children the quorum is opened with. */
    public void attachInitial(BlockNode child) throws BlockException {
        graph().attach(this, "children." + nextIndex, Role.DATA, child);
        nextIndex++;
    }

    /** Appends a child; its content and length are not looked at. */
    public void addChild(BlockNode child) throws BlockException {
        if (blkverify) {
            throw new BlockException(
                    Errno.EINVAL, "Cannot add a child to a quorum in blkverify mode");
        }
        if (nextIndex == Integer.MAX_VALUE) {
            throw new BlockException(Errno.EINVAL, "Too many children");
        }
        graph().attach(this, "children." + nextIndex, Role.DATA, child);
        nextIndex++;
    }

    /** Takes a child away, unless too few would be left. */
    public void removeChild(ChildEdge edge) throws BlockException {
        if (children().size() <= threshold) {
            throw new BlockException(
                    Errno.EINVAL,
                    "The number of children cannot be lower than the vote threshold " + threshold);
        }
        if (edge.name().equals("children." + (nextIndex - 1))) {
            nextIndex--;
        }
        graph().detach(edge);
    }

    public int threshold() {
        return threshold;
    }

    public boolean fifo() {
        return fifo;
    }

    public boolean blkverify() {
        return blkverify;
    }

    public boolean rewriteCorrupted() {
        return rewriteCorrupted;
    }

    @Override
    public @Nullable ChildEdge primaryChild() {
        return null;
    }

    @Override
    protected int childPermissions(ChildEdge edge, int needed, int shared) {
        return needed | (rewriteCorrupted && !readOnly() ? Permission.WRITE : 0);
    }

    @Override
    protected int childShared(ChildEdge edge, int needed, int shared) {
        // What others change below one child would make the children differ.
        return shared & Permission.CONSISTENT_READ
                | Permission.WRITE_UNCHANGED
                | (needed == 0 ? shared : 0);
    }

    @Override
    protected long length() throws BlockException {
        long length = -1;
        for (ChildEdge edge : children()) {
            long one = edge.length();
            if (length >= 0 && one != length) {
                throw new BlockException(Errno.EIO, "quorum: the children's lengths differ");
            }
            length = one;
        }
        return length;
    }

    private interface Action {
        void on(ChildEdge child) throws BlockException;
    }

    /** Does the same to all children at once; the answer has each child's errno. */
    private int[] all(Action action) throws BlockException {
        List<ChildEdge> children = children();
        if (children.size() == 1) {
            return new int[] {attempt(action, children.getFirst())};
        }
        List<Callable<Integer>> tasks = new ArrayList<>(children.size());
        for (ChildEdge child : children) {
            tasks.add(() -> attempt(action, child));
        }
        List<Integer> results = graph().inParallel(tasks);
        int[] errors = new int[results.size()];
        for (int i = 0; i < errors.length; i++) {
            errors[i] = results.get(i);
        }
        return errors;
    }

    private static int attempt(Action action, ChildEdge child) {
        try {
            action.on(child);
            return 0;
        } catch (BlockException e) {
            return e.errno();
        }
    }

    /** Reports failed children; errors when fewer than the threshold worked. */
    private void judge(int[] errors, Operation operation, long offset, long length)
            throws BlockException {
        int good = 0;
        for (int i = 0; i < errors.length; i++) {
            if (errors[i] == 0) {
                good++;
            } else {
                events.badChild(
                        operation, errors[i], children().get(i).node().name(), offset, length);
            }
        }
        if (good < threshold) {
            events.failure(this, offset, length);
            throw new BlockException(mostFrequent(errors));
        }
    }

    private static int mostFrequent(int[] errors) {
        Map<Integer, Integer> votes = new HashMap<>();
        int winner = Errno.EIO;
        int best = 0;
        for (int error : errors) {
            if (error != 0) {
                int count = votes.merge(error, 1, Integer::sum);
                if (count >= best) {
                    best = count;
                    winner = error;
                }
            }
        }
        return winner;
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        judge(
                all(child -> child.write(offset, source)),
                Operation.WRITE,
                offset,
                source.byteSize());
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        judge(
                all(child -> child.writeZeroes(offset, length, mayUnmap)),
                Operation.WRITE,
                offset,
                length);
    }

    @Override
    protected void flush() throws BlockException {
        int[] errors = new int[children().size()];
        for (int i = 0; i < errors.length; i++) {
            errors[i] = attempt(ChildEdge::flush, children().get(i));
        }
        judge(errors, Operation.FLUSH, 0, 0);
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        if (fifo) {
            readFirst(offset, destination);
        } else {
            readVoting(offset, destination);
        }
    }

    private void readFirst(long offset, Pieces destination) throws BlockException {
        int error = Errno.EIO;
        for (ChildEdge child : children()) {
            try {
                child.read(offset, destination);
                return;
            } catch (BlockException e) {
                error = e.errno();
                events.badChild(
                        Operation.READ, error, child.node().name(), offset, destination.byteSize());
            }
        }
        throw new BlockException(error);
    }

    private void readVoting(long offset, Pieces destination) throws BlockException {
        long length = destination.byteSize();
        List<ChildEdge> children = children();
        Buffers.Lease[] leases = new Buffers.Lease[children.size()];
        MemorySegment[] buffers = new MemorySegment[children.size()];
        for (int i = 0; i < buffers.length; i++) {
            leases[i] = Buffers.take(length);
            buffers[i] = leases[i].segment();
        }
        try {
            readVoting(offset, destination, buffers);
        } finally {
            for (Buffers.Lease lease : leases) {
                lease.close();
            }
        }
    }

    private void readVoting(long offset, Pieces destination, MemorySegment[] buffers)
            throws BlockException {
        long length = destination.byteSize();
        List<ChildEdge> children = children();
        List<Callable<Integer>> tasks = new ArrayList<>();
        for (int i = 0; i < buffers.length; i++) {
            MemorySegment buffer = buffers[i];
            ChildEdge child = children.get(i);
            tasks.add(() -> attempt(c -> c.read(offset, buffer), child));
        }
        List<Integer> results = graph().inParallel(tasks);
        int[] errors = results.stream().mapToInt(Integer::intValue).toArray();
        judge(errors, Operation.READ, offset, length);
        int first = 0;
        while (errors[first] != 0) {
            first++;
        }
        boolean same = true;
        for (int i = first + 1; i < buffers.length; i++) {
            if (errors[i] == 0) {
                long difference = buffers[first].mismatch(buffers[i]);
                if (difference >= 0) {
                    if (blkverify) {
                        mismatch(offset, length, offset + difference);
                    }
                    same = false;
                }
            }
        }
        int winner = same ? first : vote(buffers, errors, offset, length);
        destination.copyFrom(buffers[winner]);
    }

    private static void mismatch(long offset, long length, long at) {
        System.err.println(
                "quorum: offset="
                        + offset
                        + " bytes="
                        + length
                        + " contents mismatch at offset "
                        + at);
        // The user asked for this: blkverify is a debugging mode whose only answer is to end the
        // process.
        Runtime.getRuntime().halt(1);
    }

    private int vote(MemorySegment[] buffers, int[] errors, long offset, long length)
            throws BlockException {
        byte[][] hashes = new byte[buffers.length][];
        List<Integer> representatives = new ArrayList<>();
        Map<Integer, Integer> votes = new HashMap<>();
        int[] group = new int[buffers.length];
        for (int i = 0; i < buffers.length; i++) {
            group[i] = -1;
            if (errors[i] != 0) {
                continue;
            }
            hashes[i] = sha256(buffers[i]);
            for (int other : representatives) {
                if (Arrays.equals(hashes[i], hashes[other])) {
                    group[i] = other;
                }
            }
            if (group[i] < 0) {
                group[i] = i;
                representatives.add(i);
            }
            votes.merge(group[i], 1, Integer::sum);
        }
        // Of equally big groups the one that appeared last wins.
        int winner = -1;
        int best = 0;
        for (int k = representatives.size() - 1; k >= 0; k--) {
            int candidate = representatives.get(k);
            int count = votes.getOrDefault(candidate, 0);
            if (count > best) {
                best = count;
                winner = candidate;
            }
        }
        if (best < threshold) {
            events.failure(this, offset, length);
            throw new BlockException(Errno.EIO);
        }
        for (int i = 0; i < buffers.length; i++) {
            if (errors[i] == 0 && group[i] != winner) {
                ChildEdge child = children().get(i);
                events.badChild(Operation.READ, 0, child.node().name(), offset, length);
                if (rewriteCorrupted && !readOnly()) {
                    MemorySegment right = buffers[winner];
                    attempt(c -> c.write(offset, right), child);
                }
            }
        }
        return winner;
    }

    private static byte[] sha256(MemorySegment data) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(data.toArray(ValueLayout.JAVA_BYTE));
            return digest.digest();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        long zeroes = length;
        long data = 0;
        for (ChildEdge edge : children()) {
            BlockStatus status;
            try {
                status = edge.status(offset, length);
            } catch (BlockException e) {
                events.badChild(Operation.READ, e.errno(), edge.node().name(), offset, length);
                data = length;
                continue;
            }
            if (status.zero()) {
                zeroes = Math.min(zeroes, status.length());
            } else {
                data = Math.max(data, status.length());
            }
        }
        return data > 0
                ? new BlockStatus(data, true, false, true)
                : new BlockStatus(zeroes, false, true, true);
    }
}
