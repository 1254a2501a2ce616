package lockstep.runtime.loop;

import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The clocks of one process, and the switch that stops guest time with the virtual machine. Guest time
 * starts at 0 and stands still until {@link #startVirtual}. Reads are safe from any thread; the switch is
 * used under the machine lock.
 */
public final class VmClocks implements Clocks {
    private static final long SECOND = 1_000_000_000L;

    /** Guest time is {@code offset} while stopped or stepped, monotonic host time plus {@code offset} otherwise. */
    private record Guest(boolean running, long offset) {}

    private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
    private volatile Guest guest = new Guest(false, 0);
    private volatile boolean stepped;

    @Override
    public long now(ClockType clock) {
        return switch (clock) {
            case REALTIME -> System.nanoTime();
            case VIRTUAL -> virtual();
            case HOST -> {
                Instant now = Instant.now();
                yield now.getEpochSecond() * SECOND + now.getNano();
            }
        };
    }

    @Override
    public long virtual() {
        Guest g = guest;
        return g.running && !stepped ? System.nanoTime() + g.offset : g.offset;
    }

    /** Whether guest time runs. */
    public boolean virtualRunning() {
        return guest.running;
    }

    /** From now on guest time moves by {@link #setVirtual} alone, whether it runs or not. */
    public void step() {
        guest = new Guest(guest.running, virtual());
        stepped = true;
        changed();
    }

    /** Whether guest time only moves when it is set. */
    public boolean stepped() {
        return stepped;
    }

    /** Whether guest time moves by itself. */
    boolean ticking() {
        return guest.running && !stepped;
    }

    /** Lets guest time run on from where it stands. No effect when it runs. */
    public void startVirtual() {
        Guest g = guest;
        if (!g.running) {
            guest = new Guest(true, stepped ? g.offset : g.offset - System.nanoTime());
            changed();
        }
    }

    /** Stops guest time. No effect when it stands. */
    public void stopVirtual() {
        Guest g = guest;
        if (g.running) {
            guest = new Guest(false, stepped ? g.offset : g.offset + System.nanoTime());
            changed();
        }
    }

    /** Sets guest time in nanoseconds, as loaded from a migration stream. */
    public void setVirtual(long nanoseconds) {
        guest =
                ticking()
                        ? new Guest(true, nanoseconds - System.nanoTime())
                        : new Guest(guest.running, nanoseconds);
        changed();
    }

    /** Has {@code listener} called after each start, stop and change of guest time. */
    void onChange(Runnable listener) {
        listeners.add(listener);
    }

    void forget(Runnable listener) {
        listeners.remove(listener);
    }

    private void changed() {
        listeners.forEach(Runnable::run);
    }
}
