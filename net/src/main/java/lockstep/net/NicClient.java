package lockstep.net;

/** A NIC model as its network port sees it. Called under the machine lock, on any thread. */
public interface NicClient {
    /**
     * Whether the NIC has room for a frame now. After answering false it must call {@link
     * NicPort#flush} when that changes: frames wait meanwhile.
     */
    boolean canReceive();

    /**
     * Takes one Ethernet frame without its check sequence. The bytes are only valid during the
     * call. A frame that the NIC does not want (address filter, receiver off) is simply ignored.
     */
    void receive(byte[] frame, int offset, int length);

    /** After {@link NicPort#heldBack} said yes: that may be over. */
    default void sendAgain() {}

    /** The cable was plugged or pulled, by set_link. */
    void linkChanged(boolean up);
}
