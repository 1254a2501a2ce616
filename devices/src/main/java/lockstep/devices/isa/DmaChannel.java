package lockstep.devices.isa;

/**
 * A device's end of a DMA channel (8237A): it asks for the bus, and is granted it once the guest has programmed
 * the channel. The device moves data when it likes from then on until it lets go. Used under the machine lock.
 */
public interface DmaChannel {
    /** What a device does with the bus. */
    interface User {
        /**
         * The channel is programmed.
         *
         * @param size bytes of the guest's block, 1 to 65536 (twice that for a 16-bit channel)
         */
        void granted(int size);
    }

    /** Says who sits at the channel. */
    void connect(User user);

    /** Asks for the bus; it may be granted before the call returns. */
    void request();

    /** Lets the bus go, or does not want it any more. */
    void release();

    /** Puts data into the guest's block from {@code position} on. */
    void toMemory(int position, byte[] source, int length);

    /** Takes data of the guest's block from {@code position} on. */
    void fromMemory(int position, byte[] target, int length);

    /** Says how many bytes of the block are done, which the guest may read; at the end of the block it counts as over. */
    void moved(int bytes);
}
