package lockstep.block.node;

/** What holds the requests of an edge up so that they keep to a limit. Any thread. */
public interface Throttle {
    /** Waits until a request of this length may begin, and counts it. */
    void admit(boolean write, long bytes);

    /** Lets all requests begin at once until {@link #calm}; they are counted all the same. */
    void hurry();

    /** Ends what {@link #hurry} began. */
    void calm();
}
