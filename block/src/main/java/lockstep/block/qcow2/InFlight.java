package lockstep.block.qcow2;

import lockstep.block.node.Route;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * The requests that are under way in an image, by the guest bytes they concern. This, and no lock,
 * keeps the clusters of a request what they are while its data moves. Any thread.
 *
 * <p>A request begins when nothing that conflicts with it runs or came before it. One that runs
 * waits for others that run at most ({@link Flight#settle}), and who waits has one flight in an image,
 * so no circle of waiting is possible. Those of the kernel's requests wait for nobody, but end only when somebody takes
 * the results.
 */
final class InFlight {
    /** What a request does to its clusters. */
    enum Kind {
        /** Reads what they hold, or what is below them where they hold nothing. */
        READ,
        /** Writes to the clusters that there are. */
        OVERWRITE,
        /** Writes new clusters that are to take their place; the old ones may be read meanwhile. */
        FILL,
        /** Changes which clusters there are. */
        CHANGE;

        private boolean conflicts(Kind other) {
            return this == CHANGE
                    || other == CHANGE
                    || this == FILL && other != READ
                    || other == FILL && this != READ;
        }
    }

    /** In the order in which they came. */
    private final List<Flight> flights = new ArrayList<>();

    /** Those that are over, to be used again. */
    private final List<Flight> unused = new ArrayList<>();

    private int waiting;

    /** A request under way, ended once. */
    final class Flight implements AutoCloseable, Route.Held {
        private Kind kind = Kind.READ;
        private long first;
        private long end;
        private boolean running;

        /** The bytes from {@code end} on are not concerned any more. */
        void narrow(long end) {
            synchronized (InFlight.this) {
                this.end = end;
                wake();
            }
        }

        /** What was filled takes its place now: waits for those that still read the old. */
        void settle() {
            synchronized (InFlight.this) {
                kind = Kind.CHANGE;
                await(this);
            }
        }

        @Override
        public void close() {
            synchronized (InFlight.this) {
                flights.remove(this);
                unused.add(this);
                wake();
            }
        }

        @Override
        public void over() {
            close();
        }
    }

    /** Begins a request on the bytes from {@code first} to before {@code end} as soon as it can. */
    synchronized Flight begin(Kind kind, long first, long end) {
        Flight flight = flight(kind, first, end);
        await(flight);
        flight.running = true;
        return flight;
    }

    /** Likewise if it can at once; null if not. */
    synchronized @Nullable Flight beginAtOnce(Kind kind, long first, long end) {
        Flight flight = flight(kind, first, end);
        if (mustWait(flight)) {
            flights.remove(flight);
            unused.add(flight);
            return null;
        }
        flight.running = true;
        return flight;
    }

    private Flight flight(Kind kind, long first, long end) {
        Flight flight = unused.isEmpty() ? new Flight() : unused.removeLast();
        flight.kind = kind;
        flight.first = first;
        flight.end = end;
        flight.running = false;
        flights.add(flight);
        return flight;
    }

    private void wake() {
        if (waiting > 0) {
            notifyAll();
        }
    }

    private void await(Flight flight) {
        boolean interrupted = false;
        while (mustWait(flight)) {
            waiting++;
            try {
                wait();
            } catch (InterruptedException e) {
                interrupted = true;
            } finally {
                waiting--;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean mustWait(Flight flight) {
        boolean earlier = true;
        for (Flight other : flights) {
            if (other == flight) {
                earlier = false;
            } else if ((other.running || earlier && !flight.running)
                    && flight.kind.conflicts(other.kind)
                    && other.first < flight.end
                    && flight.first < other.end) {
                return true;
            }
        }
        return false;
    }
}
