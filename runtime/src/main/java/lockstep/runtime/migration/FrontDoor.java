package lockstep.runtime.migration;

import lockstep.runtime.tls.TlsCallers;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/**
 * Where the source of a migration is awaited. With TLS whoever comes has to show who it is; the first that is right is the
 * source, and all others are sent away, also when the wait ends without one.
 */
final class FrontDoor {
    private final Transport.Listener listener;
    private final Address address;
    private final MigrationSettings settings;
    private final MigrationHost host;

    // Under this monitor.
    private final TlsCallers<MigrationChannel> callers =
            new TlsCallers<>(MigrationChannel::shutdown);
    private @Nullable MigrationChannel source;
    private boolean closed;

    FrontDoor(
            Transport.Listener listener,
            Address address,
            MigrationSettings settings,
            MigrationHost host) {
        this.listener = listener;
        this.address = address;
        this.settings = settings;
        this.host = host;
    }

    /** Waits for the source; then nobody else is let in. Not under the machine lock. */
    MigrationChannel await() throws IOException {
        try {
            while (true) {
                MigrationChannel caller = listener.accept();
                if (!take(caller)) {
                    caller.close();
                } else if (settings.tlsCredentials().isEmpty()
                        || Transport.connectsAtOnce(address)) {
                    letIn(caller);
                    break;
                } else {
                    Thread.ofPlatform().daemon().name("mig/dst/tls").start(() -> ask(caller));
                }
            }
        } catch (IOException e) {
            MigrationChannel found = close();
            if (found == null) {
                throw e;
            }
            return found; // whoever was let in closed the listener
        } catch (RuntimeException e) {
            close();
            throw e;
        }
        MigrationChannel found = close();
        if (found == null) {
            throw new IllegalStateException("nobody was let in");
        }
        return found;
    }

    /** Ends the connections of all who have yet to show who they are. Any thread. */
    synchronized void cut() {
        callers.cut();
    }

    /** Nobody is let in any more; gives who was. */
    private synchronized @Nullable MigrationChannel close() {
        closed = true;
        callers.clear();
        return source;
    }

    private synchronized boolean take(MigrationChannel caller) {
        if (!closed) {
            callers.add(caller);
        }
        return !closed;
    }

    private void ask(MigrationChannel caller) {
        try {
            letIn(caller);
            listener.close(); // which ends the wait
        } catch (IOException | RuntimeException e) {
            if (forget(caller)) {
                host.report(String.valueOf(e.getMessage()));
            }
        }
    }

    /** Has a caller show who it is. The first that is right is the source. */
    private void letIn(MigrationChannel caller) throws IOException {
        MigrationChannel found;
        try {
            found = TlsLink.secured(caller, address, true, settings, host);
        } catch (IOException | RuntimeException e) {
            caller.close();
            throw e;
        }
        forget(caller);
        if (!settle(found)) {
            found.close();
        }
    }

    private synchronized boolean settle(MigrationChannel found) {
        if (closed) {
            return false;
        }
        closed = true;
        source = found;
        callers.clear();
        return true;
    }

    /** Whether a caller was still looked at. */
    private synchronized boolean forget(MigrationChannel caller) {
        return callers.remove(caller);
    }
}
