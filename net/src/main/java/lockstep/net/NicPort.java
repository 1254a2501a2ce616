package lockstep.net;

/**
 * A NIC's end of the wire to its backend. Used under the machine lock.
 *
 * <p>Frames go through the backend's filters, then to the backend, which queues what it cannot take
 * (up to 10000 frames). While the virtual machine is stopped frames in either direction are queued.
 */
public interface NicPort extends AutoCloseable {
    /** The name in {@code info network}: the device's id, or its model and a number. */
    String name();

    /** The configured address: the given one, or the one allocated for this NIC. */
    MacAddress mac();

    /** Whether the cable is plugged. */
    boolean linkUp();

    /**
     * Sends a frame without check sequence; never blocks. The bytes may be reused after the call.
     */
    void send(byte[] frame, int offset, int length);

    /**
     * Whether frames should wait in the NIC, because what takes copies of them or takes them away has no
     * room; {@link NicClient#sendAgain} follows. A frame that is sent all the same is not lost for that.
     */
    boolean heldBack();

    /** Delivers the frames that were held back while {@link NicClient#canReceive} was false. */
    void flush();

    /**
     * The guest gave the NIC another address; {@code info network} shows it, {@link #mac} stays.
     */
    void addressChanged(MacAddress now);

    /** Unplugs the NIC. Idempotent; no callback follows. */
    @Override
    void close();
}
