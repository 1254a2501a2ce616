package lockstep.runtime.spi;

/**
 * Tells the network where this virtual machine now lives; published by the net room, called when an
 * incoming migration ends. Switches learn from the frames behind which port the NICs are.
 */
public interface NetworkAnnouncer {
    /**
     * Sends one RARP frame per NIC now and then again in growing distances. Under the machine lock.
     * A sequence under way is replaced.
     *
     * @param initialMs milliseconds between the first two rounds
     * @param maxMs the most milliseconds between two rounds
     * @param rounds how many rounds
     * @param stepMs milliseconds by which the distance grows
     */
    void announce(long initialMs, long maxMs, long rounds, long stepMs);
}
