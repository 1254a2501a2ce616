package lockstep.runtime.migration;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayDeque;

/**
 * Where the source of a migration is awaited. With TLS whoever comes has to show who it is; many do so side by
 * side, so that one that says nothing keeps nobody waiting, and the first that is right is the source.
 */
final class FrontDoor {
    /** How many may be about to show who they are; one more takes the place of the one that came first. */
    private static final int MOST = 16;

    private final Transport.Listener listener;
    private final Address address;
    private final MigrationSettings settings;
    private final MigrationHost host;

    // Under this monitor.
    private final ArrayDeque<MigrationChannel> callers = new ArrayDeque<>();
    private @Nullable MigrationChannel source;

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
        while (true) {
            MigrationChannel caller;
            try {
                caller = listener.accept();
            } catch (IOException e) {
                MigrationChannel found = source();
                if (found != null) {
                    return found;
                }
                throw e;
            }
            if (settings.tlsCredentials().isEmpty() || Transport.connectsAtOnce(address)) {
                MigrationChannel found = TlsLink.secured(caller, address, true, settings, host);
                return settle(found) ? found : settled(found);
            }
            if (take(caller)) {
                Thread.ofPlatform().daemon().name("mig/dst/tls").start(() -> ask(caller));
            } else {
                caller.close();
            }
        }
    }

    private MigrationChannel settled(MigrationChannel late) {
        late.close();
        MigrationChannel found = source();
        if (found == null) {
            throw new IllegalStateException("nobody was let in");
        }
        return found;
    }

    private synchronized @Nullable MigrationChannel source() {
        return source;
    }

    private synchronized boolean take(MigrationChannel caller) {
        if (source != null) {
            return false;
        }
        if (callers.size() == MOST) {
            callers.removeFirst().shutdown();
        }
        callers.add(caller);
        return true;
    }

    private void ask(MigrationChannel caller) {
        try {
            MigrationChannel found = TlsLink.secured(caller, address, true, settings, host);
            forget(caller);
            if (settle(found)) {
                listener.close(); // which ends the wait
            } else {
                found.close();
            }
        } catch (IOException | RuntimeException e) {
            caller.close();
            if (forget(caller)) {
                host.report(String.valueOf(e.getMessage()));
            }
        }
    }

    /** Lets one in and sends all others away; false when one is in. */
    private synchronized boolean settle(MigrationChannel found) {
        if (source != null) {
            return false;
        }
        source = found;
        callers.forEach(MigrationChannel::shutdown);
        callers.clear();
        return true;
    }

    /** Whether a caller that failed was still looked at. */
    private synchronized boolean forget(MigrationChannel caller) {
        return callers.remove(caller);
    }
}
