package lockstep.block.nbd;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Buffers;
import lockstep.block.node.Pieces;
import lockstep.block.node.Route;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Driver {@code nbd}: an export of a server. When the connection breaks, requests fail at once and
 * each new one starts an attempt to connect again in the background; with a reconnect delay they
 * wait up to that long instead.
 */
public final class NbdNode extends BlockNode {
    /**
     * Where to connect.
     *
     * @param reconnectDelaySeconds how long requests wait for a broken connection
     * @param openTimeoutSeconds how long opening keeps trying, 0 for one attempt
     * @param tls how the connection is made secure; null for a plain one
     * @param context what the server is asked about its blocks in place of what is allocated; null for that
     */
    public record Options(
            NbdAddress address,
            String export,
            int reconnectDelaySeconds,
            int openTimeoutSeconds,
            @Nullable TlsEnd tls,
            @Nullable String context) {
        /** With the server's word on what is allocated. */
        public Options(
                NbdAddress address,
                String export,
                int reconnectDelaySeconds,
                int openTimeoutSeconds,
                @Nullable TlsEnd tls) {
            this(address, export, reconnectDelaySeconds, openTimeoutSeconds, tls, null);
        }
    }

    private static final int PATIENCE_SECONDS = 30;
    private static final long BACK_OFF_MAX_MILLIS = 16_000;

    /** What a request does on a connection. */
    private interface Exchange {
        void on(NbdConnection connection) throws NbdConnection.Lost, BlockException;
    }

    private final Options options;
    private final Object monitor = new Object();
    private NbdHandshake.Result agreed;
    private @Nullable NbdConnection connection;
    private boolean connecting;
    private @Nullable NbdAttempt reconnecting;
    private boolean ended;
    private long lostAt;

    /** Writes that are over, and how many of them were when the last flush that worked began. */
    private final AtomicLong written = new AtomicLong();

    private final AtomicLong flushed = new AtomicLong();
    private final Route.Held wrote = written::incrementAndGet;
    private volatile int losses;

    private NbdNode(
            BlockGraph graph,
            String name,
            boolean readOnly,
            Options options,
            NbdConnection connection) {
        super(graph, "nbd", name, readOnly);
        this.options = options;
        this.connection = connection;
        this.agreed = connection.agreed();
        trackRequests();
    }

    /**
     * Blocks until the server answers. The node is not in the graph yet.
     *
     * @param begun the connection, if it is being made already
     */
    public static NbdNode open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean autoReadOnly,
            Options options,
            @Nullable NbdDialing begun)
            throws BlockException {
        NbdDialing dialing = begun == null ? new NbdDialing(options, name) : begun;
        NbdConnection connection;
        graph.connecting(
                name, options.address().toString(), dialing::cut, patienceSeconds(options));
        try {
            connection = dialing.take();
        } finally {
            graph.connected(name);
        }
        boolean serverReadOnly = (connection.agreed().flags() & Nbd.TRANSMIT_READ_ONLY) != 0;
        if (serverReadOnly && !readOnly && !autoReadOnly) {
            connection.disconnect();
            throw new BlockException(Errno.EACCES, "NBD export is read-only");
        }
        NbdNode node = new NbdNode(graph, name, readOnly || serverReadOnly, options, connection);
        dialing.own(node);
        return node;
    }

    /** How long a server may take to answer when a node is opened. */
    public static int patienceSeconds(Options options) {
        // Longer than the attempts to connect, whose error says more.
        return options.openTimeoutSeconds() > 0
                ? options.openTimeoutSeconds() + 1
                : PATIENCE_SECONDS;
    }

    public Options options() {
        return options;
    }

    /** Breaks the connection for ever, as QMP yank does. */
    @Override
    public void cut() {
        NbdConnection current;
        NbdAttempt attempt;
        synchronized (monitor) {
            ended = true;
            current = connection;
            attempt = reconnecting;
            monitor.notifyAll();
        }
        if (current != null) {
            current.shutdown();
        }
        if (attempt != null) {
            attempt.cut();
        }
    }

    void connectionLost() {
        synchronized (monitor) {
            lostAt = System.nanoTime();
            losses++;
            NbdConnection old = connection;
            connection = null;
            if (old != null && old.protocolViolated()) {
                ended = true;
            }
            if (!ended && options.reconnectDelaySeconds() > 0) {
                startConnecting();
            }
            monitor.notifyAll();
        }
    }

    /** Starts the thread that connects again. Monitor held. */
    private void startConnecting() {
        if (!connecting) {
            connecting = true;
            Thread.ofPlatform().daemon().name("nbd-connect-" + name()).start(this::connectAgain);
        }
    }

    private void connectAgain() {
        long pause = 1000;
        while (true) {
            NbdConnection made = null;
            NbdAttempt attempt = new NbdAttempt();
            synchronized (monitor) {
                reconnecting = attempt;
                if (ended) {
                    attempt.cut();
                }
            }
            try {
                made = NbdConnection.open(options, name(), this::connectionLost, attempt);
                if (made.agreed().size() < agreed.size()) {
                    made.disconnect();
                    made = null;
                }
            } catch (BlockException e) {
                System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e.getMessage());
            }
            synchronized (monitor) {
                reconnecting = null;
                if (made != null && !made.lost() && !ended) {
                    connection = made;
                    agreed = made.agreed();
                    connecting = false;
                    monitor.notifyAll();
                    return;
                }
                if (ended || options.reconnectDelaySeconds() == 0) {
                    connecting = false;
                    monitor.notifyAll();
                    break;
                }
                try {
                    monitor.wait(pause);
                } catch (InterruptedException e) {
                    connecting = false;
                    return;
                }
                pause = Math.min(pause * 2, BACK_OFF_MAX_MILLIS);
            }
        }
    }

    /** A live connection, or EIO when there is none and it is no use to wait. */
    private NbdConnection connection() throws BlockException {
        synchronized (monitor) {
            while (true) {
                NbdConnection current = connection;
                if (current != null && !current.lost()) {
                    return current;
                }
                long left =
                        lostAt
                                + options.reconnectDelaySeconds() * 1_000_000_000L
                                - System.nanoTime();
                if (ended
                        || options.reconnectDelaySeconds() == 0
                        || connection == null && left <= 0) {
                    if (!ended) {
                        startConnecting();
                    }
                    throw new BlockException(Errno.EIO, "NBD connection is lost");
                }
                try {
                    monitor.wait(Math.max(1, left / 1_000_000));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    throw new BlockException(Errno.EIO, "interrupted", e);
                }
            }
        }
    }

    private void perform(Exchange exchange) throws BlockException {
        while (true) {
            NbdConnection current = connection();
            try {
                exchange.on(current);
                return;
            } catch (NbdConnection.Lost e) {
                if (options.reconnectDelaySeconds() == 0) {
                    throw new BlockException(Errno.EIO, "NBD connection is lost", e);
                }
            }
        }
    }

    @Override
    public String plainFilename() {
        String export = options.export();
        return switch (options.address()) {
            case NbdAddress.Inet(String host, int port, int _, int _) ->
                    "nbd://" + host + ":" + port + (export.isEmpty() ? "" : "/" + export);
            case NbdAddress.Unix(String path) ->
                    "nbd+unix://" + (export.isEmpty() ? "" : "/" + export) + "?socket=" + path;
        };
    }

    private boolean can(int flag) {
        return (agreed.flags() & flag) != 0;
    }

    /** How many bytes of a range the server has: the last sector may be padding in part. */
    private long there(long offset, long length) throws BlockException {
        checkRange(offset, length, length());
        return Math.clamp(agreed.size() - offset, 0, length);
    }

    @Override
    protected boolean route(Route route) {
        NbdConnection current;
        NbdHandshake.Result terms;
        synchronized (monitor) {
            current = connection;
            terms = agreed;
        }
        if (current == null
                || ((route.offset() | route.length()) & terms.minBlock() - 1) != 0
                || route.length() > terms.maxBlock()
                || route.offset() > terms.size() - route.length()) {
            return false;
        }
        if (route.write()) {
            route.hold(wrote);
        }
        return route.ends(current);
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        long there = there(offset, destination.byteSize());
        if (there < destination.byteSize()) {
            destination.slice(there).zero();
            read(offset, destination.slice(0, there));
            return;
        }
        int block = agreed.minBlock();
        if ((offset & block - 1) != 0 || (destination.byteSize() & block - 1) != 0) {
            long start = offset & -block;
            long end =
                    Math.min(agreed.size(), offset + destination.byteSize() + block - 1 & -block);
            try (Buffers.Lease lease = Buffers.take(end - start)) {
                read(start, Pieces.of(lease.segment()));
                destination.copyFrom(lease.segment().asSlice(offset - start));
            }
            return;
        }
        for (long done = 0; done < destination.byteSize(); done += agreed.maxBlock()) {
            Pieces piece =
                    destination.slice(
                            done, Math.min(agreed.maxBlock(), destination.byteSize() - done));
            long at = offset + done;
            perform(c -> c.read(at, piece));
        }
    }

    /** What is written to the padding of the last sector is gone. */
    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        long there = there(offset, source.byteSize());
        if (there < source.byteSize()) {
            write(offset, source.slice(0, there));
            return;
        }
        int block = agreed.minBlock();
        if ((offset & block - 1) != 0 || (source.byteSize() & block - 1) != 0) {
            writeUnaligned(offset, source, block);
            return;
        }
        for (long done = 0; done < source.byteSize(); done += agreed.maxBlock()) {
            Pieces piece =
                    source.slice(done, Math.min(agreed.maxBlock(), source.byteSize() - done));
            long at = offset + done;
            change(c -> c.write(at, piece));
        }
    }

    /** What changes data; even when it fails, a part may have been written. */
    private void change(Exchange exchange) throws BlockException {
        try {
            perform(exchange);
        } finally {
            written.incrementAndGet();
        }
    }

    /** What is written together with the rest of its block is alone there: another write would be undone. */
    @Override
    protected long exclusion(long offset, long length) {
        return aligned(offset, length) ? 0 : agreed.minBlock();
    }

    private void writeUnaligned(long offset, Pieces source, int block) throws BlockException {
        long start = offset & -block;
        long end = Math.min(agreed.size(), offset + source.byteSize() + block - 1 & -block);
        try (Buffers.Lease lease = Buffers.take(end - start)) {
            MemorySegment whole = lease.segment();
            read(start, Pieces.of(whole));
            source.copyTo(whole.asSlice(offset - start));
            write(start, Pieces.of(whole));
        }
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        if (!can(Nbd.TRANSMIT_WRITE_ZEROES) || !aligned(offset, length)) {
            writeZeroesByWriting(offset, length);
            return;
        }
        ranges(mayUnmap ? 0 : Nbd.CMD_FLAG_NO_HOLE, Nbd.CMD_WRITE_ZEROES, offset, length);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        if (can(Nbd.TRANSMIT_TRIM) && aligned(offset, length)) {
            ranges(0, Nbd.CMD_TRIM, offset, length);
        }
    }

    private boolean aligned(long offset, long length) {
        return ((offset | length) & agreed.minBlock() - 1) == 0;
    }

    private void ranges(int flags, int type, long offset, long length) throws BlockException {
        long there = there(offset, length);
        long most = 1L << 30;
        for (long done = 0; done < there; done += most) {
            long at = offset + done;
            int piece = (int) Math.min(most, there - done);
            change(c -> c.command(flags, type, at, piece));
        }
    }

    /** The server's address and the export's name, as one text. */
    public String server() {
        return options.address() + "/" + options.export();
    }

    /** How often the connection was lost. Any thread. */
    public int losses() {
        return losses;
    }

    /** Whether the server offers to make writes durable. */
    public boolean flushes() {
        return can(Nbd.TRANSMIT_FLUSH);
    }

    /** Others may have written what the server has not stored yet: the next flush goes there in any case. */
    public void writtenByOthers() {
        written.incrementAndGet();
    }

    @Override
    protected void flush() throws BlockException {
        long upTo = written.get();
        // Another flush under way proves nothing before it is over.
        if (can(Nbd.TRANSMIT_FLUSH) && flushed.get() < upTo) {
            perform(c -> c.command(0, Nbd.CMD_FLUSH, 0, 0));
            flushed.accumulateAndGet(upTo, Math::max);
        }
    }

    @Override
    protected long length() {
        return lengthAtOnce();
    }

    @Override
    protected long lengthAtOnce() {
        return agreed.size() + 511 & -512L;
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        if (agreed.statusContext() < 0 || !aligned(offset, 0)) {
            return new BlockStatus(length, true, false, true);
        }
        int most = (int) Math.min(there(offset, length), 1 << 30) & -agreed.minBlock();
        if (most <= 0) {
            return new BlockStatus(length, true, false, true);
        }
        NbdConnection.Extent[] answer = new NbdConnection.Extent[1];
        perform(c -> answer[0] = c.status(offset, most));
        NbdConnection.Extent extent = answer[0];
        if (extent.length() == 0) {
            throw new BlockException(Errno.EIO, "Server did not reply with any status extents");
        }
        int flags = extent.flags();
        if (Nbd.ALLOCATION_DEPTH.equals(options.context())) {
            flags = Math.min(flags, 2); // as QEMU: all layers below the first are told as zeroes
        }
        boolean data = (flags & Nbd.STATE_HOLE) == 0;
        boolean zero = (flags & Nbd.STATE_ZERO) != 0;
        return new BlockStatus(Math.min(extent.length(), most), data, zero, data || zero);
    }

    @Override
    protected void truncate(long length) throws BlockException {
        if (length > agreed.size()) {
            throw new BlockException(Errno.EINVAL, "Cannot grow NBD nodes");
        }
        throw new BlockException(Errno.ENOTSUP, "Cannot resize NBD nodes");
    }

    @Override
    protected void onReopen(boolean readOnly) throws BlockException {
        if (!readOnly && can(Nbd.TRANSMIT_READ_ONLY)) {
            throw new BlockException(
                    Errno.EACCES, "Can't reopen read-only NBD mount as read/write");
        }
    }

    @Override
    protected void close() {
        NbdConnection current;
        NbdAttempt attempt;
        synchronized (monitor) {
            ended = true;
            current = connection;
            connection = null;
            attempt = reconnecting;
            monitor.notifyAll();
        }
        if (attempt != null) {
            attempt.cut();
        }
        if (current != null) {
            current.disconnect();
        }
    }
}
