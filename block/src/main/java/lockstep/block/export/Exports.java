package lockstep.block.export;

import lockstep.api.NbdServerOptionsBaseMembers;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.Names;
import lockstep.qmp.QmpException;
import lockstep.qmp.TryLater;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.tls.TlsEnd;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** What users export, and the server they do it with. Machine lock held. */
public final class Exports {
    /** How long a command waits for what ends by itself as a rule. */
    private static final long MOMENT = TimeUnit.MILLISECONDS.toNanos(100);

    /** How long a command waits for what may not end at all. */
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

    private static final int MAX_CONNECTIONS = 100;
    private static final int HANDSHAKE_SECONDS = 10;

    private final Backends backends;
    private final TlsEnd.Source tlsEnds;
    private final Consumer<String> warn;
    private final Consumer<String> deleted;
    private final List<NbdExport> exports = new ArrayList<>();
    private @Nullable NbdServer server;

    /**
     * Without exports.
     *
     * @param tlsEnds where a server with TLS has its credentials from
     * @param warn shows the user a warning
     * @param deleted told the id of each export that is gone
     */
    public Exports(
            Backends backends,
            TlsEnd.Source tlsEnds,
            Consumer<String> warn,
            Consumer<String> deleted) {
        this.backends = backends;
        this.tlsEnds = tlsEnds;
        this.warn = warn;
        this.deleted = deleted;
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** QMP nbd-server-start. */
    public void startServer(NbdAddress address, NbdServerOptionsBaseMembers options)
            throws BlockException {
        if (server != null) {
            throw bad("NBD server already running");
        }
        TlsEnd tls = null;
        if (options.tlsCreds() != null) {
            try {
                tls = tlsEnds.server(options.tlsCreds(), options.tlsAuthz());
            } catch (QmpException e) {
                throw new BlockException(Errno.EINVAL, e.description(), e);
            }
        }
        NbdServer.Terms terms =
                new NbdServer.Terms(
                        number(options.maxConnections(), MAX_CONNECTIONS),
                        number(options.handshakeMaxSeconds(), HANDSHAKE_SECONDS),
                        tls,
                        warn);
        server = NbdServer.start(backends, address, terms);
    }

    private static int number(@Nullable Long value, int fallback) {
        return value == null ? fallback : (int) Math.min(value, Integer.MAX_VALUE);
    }

    private NbdServer server() throws BlockException {
        NbdServer running = server;
        if (running == null) {
            throw bad("NBD server not running");
        }
        return running;
    }

    /** Has a task run, on any thread, each time when the last client of an export has left. */
    public void whenDeserted(Runnable task) throws BlockException {
        server().whenDeserted(task);
    }

    /** Makes sure that there is a server to export by. */
    public void requireServer() throws BlockException {
        server();
    }

    /**
     * Exports a node.
     *
     * @param source the drive that named it, if one did
     */
    public void add(NbdServer.Request request, BlockNode node, @Nullable BlockBackend source)
            throws BlockException {
        checkId(request.id());
        exports.add(server().add(request, node, source));
    }

    /** Refuses what cannot be the id of a new export. */
    public void checkId(String id) throws BlockException {
        if (!Names.wellFormed(id)) {
            throw bad("Invalid block export id");
        }
        if (find(id) != null) {
            throw bad("Block export id '" + id + "' is already in use");
        }
    }

    private @Nullable NbdExport find(String id) {
        for (NbdExport export : exports) {
            if (export.id().equals(id)) {
                return export;
            }
        }
        return null;
    }

    /** QMP block-export-del; {@code hard} cuts clients off. */
    public void delete(String id, boolean hard) throws BlockException {
        NbdExport export = find(id);
        if (export == null) {
            throw bad("Export '" + id + "' is not found");
        }
        if (export.shuttingDown()) {
            throw bad("Export '" + id + "' is already shutting down");
        }
        if (!hard && export.hasClients()) {
            throw new BlockException(Errno.EBUSY, "export '" + id + "' still in use");
        }
        shutDown(export);
        // Clients without requests are gone in no time; what others wait for may take for ever.
        finish(export, MOMENT);
    }

    private void shutDown(NbdExport export) {
        if (server != null) {
            server.shutDown(export, () -> backends.graph().host().post(() -> finish(export, 0)));
        }
    }

    /** Forgets an export whose last request is over. */
    private boolean finish(NbdExport export, long patienceNanos) {
        if (!exports.contains(export) || !export.finish(patienceNanos)) {
            return false;
        }
        exports.remove(export);
        deleted.accept(export.id());
        return true;
    }

    public void removeAllOf(BlockBackend source) {
        for (NbdExport export : List.copyOf(exports)) {
            if (export.source() == source) {
                shutDown(export);
                finish(export, MOMENT);
            }
        }
    }

    /** The exports, oldest first. */
    public List<NbdExport> all() {
        return List.copyOf(exports);
    }

    /** QMP nbd-server-stop. Exports with requests that do not end stay behind, and go when these do. */
    public void stopServer() throws BlockException {
        NbdServer running = server();
        stop();
        long patience = TryLater.possible() ? MOMENT : PATIENCE;
        for (NbdExport export : List.copyOf(exports)) {
            if (!finish(export, patience) && exports.contains(export)) {
                TryLater.within(PATIENCE);
                warn.accept("gave up waiting for " + export.describe());
            }
        }
        if (server == running) {
            server = null;
        }
    }

    /** Nobody can connect any more, and those who are connected are cut off. Returns at once. */
    public void stop() {
        NbdServer running = server;
        if (running != null) {
            running.stop();
            exports.forEach(this::shutDown);
        }
    }

    /** The process ends and nothing is under way. */
    public void close() {
        exports.forEach(export -> export.finish(0));
    }
}
