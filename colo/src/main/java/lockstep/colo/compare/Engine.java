package lockstep.colo.compare;

/** The rules by which two guests' packets are compared. One thread, that of the comparison's loop. */
interface Engine {
    /** Takes what leaves. */
    interface Output {
        /** Sends a frame to the network; the bytes are only valid during the call. */
        void release(byte[] frame, int length, int vnetHeader);

        /** The guests differ, or one is too slow. */
        void requestCheckpoint();
    }

    /** Takes a frame of the primary guest; the bytes are only valid during the call. */
    void primary(byte[] data, int length, int vnetHeader);

    /** Takes a frame of the secondary guest; the bytes are only valid during the call. */
    void secondary(byte[] data, int length, int vnetHeader);

    /** Whether there is room for more packets of a side. What comes all the same is taken. */
    boolean takes(boolean primary);

    /**
     * Requests a checkpoint if a packet of either side has waited for longer.
     *
     * @param timeout milliseconds
     */
    void scan(long timeout);

    /** When {@link #settle} is to be called, in nanoseconds of the monotonic clock; Long.MAX_VALUE for not at all. */
    long settlesAt();

    /** Requests a checkpoint if packets that differ have waited for their likes for long enough. */
    void settle();

    /** Both guests are equal: releases what the primary sent, forgets what the secondary sent. */
    void flush();

    /** What happened so far, and what is now. */
    CompareStatistics statistics();
}
