package lockstep.colo.heartbeat;

/**
 * A secondary's promise to its primary not to be heard for a while. The primary counts from when it sent the
 * message that was answered, the secondary from when that came, which is later; and the primary gives
 * up an eighth for clocks that differ in speed and for what is on its way out. Times are those of {@link
 * System#nanoTime}. Any thread.
 */
final class Lease {
    private static final int MARGIN = 8;

    private final long length;
    private boolean held;
    private long heldUntil;
    private boolean promised;
    private long promisedUntil;

    Lease(long length) {
        this.length = length;
    }

    /** On the primary: what it sent at that time was answered, with a lease of so many nanoseconds. */
    synchronized void granted(long sent, long granted) {
        long shorter = Math.min(length, granted);
        long until = sent + shorter - shorter / MARGIN;
        if (!held || until - heldUntil > 0) {
            held = true;
            heldUntil = until;
        }
    }

    /** On the primary: whether packets may leave. */
    synchronized boolean valid(long now) {
        return held && now - heldUntil < 0;
    }

    /** On the secondary: what came at that time is answered with the lease. */
    synchronized void promise(long came) {
        if (!promised || came + length - promisedUntil > 0) {
            promised = true;
            promisedUntil = came + length;
        }
    }

    /** On the secondary: how many nanoseconds it must stay silent yet; 0 for none. */
    synchronized long silence(long now) {
        return promised ? Math.max(0, promisedUntil - now) : 0;
    }
}
