package lockstep.block.quorum;

/** Told what a quorum found wrong; any thread. */
public interface QuorumEvents {
    /** What was being done. */
    enum Operation {
        READ,
        WRITE,
        FLUSH
    }

    /**
     * A child failed or was outvoted.
     *
     * @param errno the child's error, 0 when its data differed from the winner's
     */
    void badChild(Operation operation, int errno, String nodeName, long offset, long length);

    /** Too few children agreed. */
    void failure(QuorumNode node, long offset, long length);

    /** Hears nothing. */
    QuorumEvents NONE =
            new QuorumEvents() {
                @Override
                public void badChild(
                        Operation operation,
                        int errno,
                        String nodeName,
                        long offset,
                        long length) {}

                @Override
                public void failure(QuorumNode node, long offset, long length) {}
            };
}
