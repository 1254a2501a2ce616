package lockstep.block.qcow2;

import java.util.ArrayList;
import java.util.List;

/**
 * The requests that are under way in an image, by the guest bytes they concern. This, and no lock,
 * keeps the clusters of a request what they are while its data moves. Any thread.
 *
 * <p>A request begins when nothing that conflicts with it runs or came before it. One that runs
 * waits for others that run at most ({@link Flight#settle}), and a thread has one flight at a time
 * in an image, so no circle of waiting is possible.
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

    private int waiting;

    /** A request under way. */
    final class Flight implements AutoCloseable {
        private Kind kind;
        private final long first;
        private long end;
        private boolean running;

        private Flight(Kind kind, long first, long end) {
            this.kind = kind;
            this.first = first;
            this.end = end;
        }

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
                wake();
            }
        }
    }

    /** Begins a request on the bytes from {@code first} to before {@code end} as soon as it can. */
    synchronized Flight begin(Kind kind, long first, long end) {
        Flight flight = new Flight(kind, first, end);
        flights.add(flight);
        await(flight);
        flight.running = true;
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
