package lockstep.block.export;

import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.nbd.Nbd;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Permission;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * The process's NBD server. Management calls come with the machine lock held; each client is served
 * by a thread of its own, and a bounded number of its requests at once on the server's workers: those of an
 * export that hangs hold up nobody else.
 */
public final class NbdServer implements AutoCloseable {
    private static final String IN_USE = "Address already in use";

    private final Backends backends;
    private final NbdAddress address;
    private final Terms terms;
    private final ServerSocketChannel listener;
    private final ScheduledExecutorService clock;
    private final ExecutorService workers;
    private final Map<String, NbdExport> byName = new LinkedHashMap<>();
    private final List<NbdSession> sessions = new ArrayList<>();
    private boolean closed;
    private @Nullable Runnable deserted;

    private NbdServer(
            Backends backends, NbdAddress address, Terms terms, ServerSocketChannel listener) {
        this.backends = backends;
        this.address = address;
        this.terms = terms;
        this.listener = listener;
        this.clock =
                Executors.newSingleThreadScheduledExecutor(
                        Thread.ofPlatform().daemon().name("nbd-timeout").factory());
        this.workers =
                Executors.newCachedThreadPool(
                        Thread.ofPlatform().daemon().name("nbd-worker-", 0).factory());
    }

    /**
     * What clients have to keep to.
     *
     * @param maxConnections how many clients at a time, 0 for no limit
     * @param handshakeSeconds how long a client may take to choose an export, 0 for no limit
     * @param tls how connections are made secure, before anything else is answered; null for plain ones
     * @param refused told, on any thread, why a client was not let in over TLS
     */
    public record Terms(
            int maxConnections,
            int handshakeSeconds,
            @Nullable TlsEnd tls,
            Consumer<String> refused) {
        /** Without TLS. */
        public static Terms plain(int maxConnections, int handshakeSeconds) {
            return new Terms(maxConnections, handshakeSeconds, null, why -> {});
        }
    }

    /** Listens on an address. */
    public static NbdServer start(Backends backends, NbdAddress address, Terms terms)
            throws BlockException {
        ServerSocketChannel listener = listen(address);
        NbdServer server = new NbdServer(backends, address, terms, listener);
        Thread.ofPlatform().daemon().name("nbd-listen").start(server::accept);
        return server;
    }

    private static ServerSocketChannel listen(NbdAddress address) throws BlockException {
        SocketAddress place = address.resolve();
        if (place instanceof InetSocketAddress first && address instanceof NbdAddress.Inet inet) {
            for (int port = inet.port(); port <= inet.lastPort(); port++) {
                try {
                    return bound(new InetSocketAddress(first.getAddress(), port));
                } catch (IOException e) {
                    boolean inUse = IN_USE.equals(e.getMessage());
                    if (!inUse || port == inet.lastPort()) {
                        throw new BlockException(
                                Errno.EADDRINUSE,
                                (inUse
                                                ? "Failed to find an available port: "
                                                : "Failed to bind socket: ")
                                        + e.getMessage(),
                                e);
                    }
                }
            }
            throw new BlockException(Errno.EINVAL, "Failed to create a socket");
        }
        try {
            Files.deleteIfExists(Path.of(address.toString()));
            return bound(place);
        } catch (IOException e) {
            throw new BlockException(
                    Errno.EADDRINUSE,
                    "Failed to bind socket to " + address + ": " + e.getMessage(),
                    e);
        }
    }

    private static ServerSocketChannel bound(SocketAddress place) throws IOException {
        boolean inet = place instanceof InetSocketAddress;
        ServerSocketChannel listener =
                inet
                        ? ServerSocketChannel.open()
                        : ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            if (inet) {
                listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            }
            return listener.bind(place);
        } catch (IOException e) {
            close(listener);
            throw e;
        }
    }

    private static void close(java.nio.channels.@Nullable Channel channel) {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e);
            }
        }
    }

    /** The TCP port in use, 0 for a UNIX socket. */
    public int port() throws IOException {
        return listener.getLocalAddress() instanceof InetSocketAddress inet ? inet.getPort() : 0;
    }

    private void accept() {
        int number = 0;
        while (true) {
            SocketChannel channel;
            try {
                synchronized (this) {
                    int most = terms.maxConnections();
                    while (!closed && most != 0 && sessions.size() >= most) {
                        wait();
                    }
                    if (closed) {
                        return;
                    }
                }
                channel = listener.accept();
            } catch (IOException e) {
                return;
            } catch (InterruptedException e) {
                return;
            }
            try {
                if (!(address instanceof NbdAddress.Unix)) {
                    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                }
            } catch (IOException e) {
                close(channel);
                continue;
            }
            NbdSession session = new NbdSession(this, channel);
            synchronized (this) {
                if (closed) {
                    close(channel);
                    return;
                }
                sessions.add(session);
            }
            Thread.ofPlatform().daemon().name("nbd-client-" + number++).start(session::serve);
        }
    }

    /** Shuts a client down that takes too long to choose an export. */
    @Nullable ScheduledFuture<?> startHandshakeTimer(NbdSession session) {
        if (terms.handshakeSeconds() == 0) {
            return null;
        }
        try {
            return clock.schedule(session::shutdown, terms.handshakeSeconds(), TimeUnit.SECONDS);
        } catch (RejectedExecutionException e) {
            // The server was stopped a moment ago.
            session.shutdown();
            return null;
        }
    }

    /** Has a task run, on any thread, each time when a client leaves that used an export and no other one is there. */
    public synchronized void whenDeserted(Runnable task) {
        deserted = task;
    }

    /** A client has left; {@code usedExport} if it had got as far as that. */
    void forget(NbdSession session, boolean usedExport) {
        Runnable told;
        synchronized (this) {
            sessions.remove(session);
            notifyAll();
            told = usedExport && sessions.isEmpty() ? deserted : null;
        }
        if (told != null) {
            told.run();
        }
    }

    boolean multiConn() {
        return terms.maxConnections() != 1;
    }

    /** What clients have to keep to. */
    Terms terms() {
        return terms;
    }

    /** Runs clients' requests. */
    Executor workers() {
        return workers;
    }

    synchronized @Nullable NbdExport find(String name) {
        return byName.get(name);
    }

    synchronized List<NbdExport> exports() {
        return List.copyOf(byName.values());
    }

    /** What to export and how. */
    public record Request(
            String id,
            String name,
            String description,
            boolean writable,
            boolean writethrough,
            boolean allowInactive,
            boolean allocationDepth,
            List<DirtyBitmap> bitmaps) {
        /** One whose clients cannot ask about more than what is allocated. */
        public Request(
                String id,
                String name,
                String description,
                boolean writable,
                boolean writethrough,
                boolean allowInactive) {
            this(id, name, description, writable, writethrough, allowInactive, false, List.of());
        }
    }

    /**
     * Exports a node. Nobody else uses its bitmaps until the export is over.
     *
     * @param source the drive it was named by, if it was
     */
    public NbdExport add(Request request, BlockNode node, @Nullable BlockBackend source)
            throws BlockException {
        if (request.name().length() > Nbd.STRING_MAX) {
            throw new BlockException(Errno.EINVAL, "export name '" + request.name() + "' too long");
        }
        if (request.description().length() > Nbd.STRING_MAX) {
            throw new BlockException(
                    Errno.EINVAL, "description '" + request.description() + "' too long");
        }
        if (find(request.name()) != null) {
            throw new BlockException(
                    Errno.EINVAL, "NBD server already has export named '" + request.name() + "'");
        }
        if (request.writable() && node.readOnly()) {
            throw new BlockException(Errno.EPERM, "Cannot export read-only node as writable");
        }
        if (!request.allowInactive()) {
            backends.graph().activate(node);
        }
        BlockBackend backend = backends.add("");
        backend.setPermissions(
                Permission.CONSISTENT_READ | (request.writable() ? Permission.WRITE : 0),
                Permission.ALL & ~Permission.RESIZE);
        backend.setWritethrough(request.writethrough());
        try {
            backend.insert(node);
        } catch (BlockException e) {
            backend.close();
            throw e;
        }
        NbdExport export = new NbdExport(request, backend, source);
        synchronized (this) {
            byName.put(request.name(), export);
        }
        return export;
    }

    /**
     * Begins to end an export: its clients are cut off at once, and {@code gone} is told, on any thread, when the last
     * of their requests is over. {@link NbdExport#finish} follows.
     */
    public void shutDown(NbdExport export, Runnable gone) {
        synchronized (this) {
            byName.remove(export.name(), export);
        }
        export.shutDown(gone);
    }

    /** Stops listening and disconnects everybody; exports are to be shut down by who added them. */
    public void stop() {
        List<NbdSession> open;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            open = List.copyOf(sessions);
            notifyAll();
        }
        close(listener);
        open.forEach(NbdSession::shutdown);
        clock.shutdownNow();
        workers.shutdown();
        if (address instanceof NbdAddress.Unix(String path)) {
            try {
                Files.deleteIfExists(Path.of(path));
            } catch (IOException e) {
                System.getLogger("lockstep.block").log(System.Logger.Level.DEBUG, e);
            }
        }
    }

    /** Stops and ends all exports, waiting for their requests. */
    @Override
    public void close() {
        stop();
        for (NbdExport export : exports()) {
            shutDown(export, () -> {});
            export.finish(Long.MAX_VALUE / 2);
        }
    }
}
