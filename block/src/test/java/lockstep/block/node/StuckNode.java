package lockstep.block.node;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** A disk of zeroes whose requests do not end before it is released. */
public final class StuckNode extends BlockNode {
    private final long length;
    private final CountDownLatch released = new CountDownLatch(1);
    private final AtomicInteger stuck = new AtomicInteger();

    private StuckNode(BlockGraph graph, long length) {
        super(graph, "stuck", graph.autoName(), false);
        this.length = length;
    }

    /** Makes one and enters it; the caller holds a reference. */
    public static StuckNode open(BlockGraph graph, long length) throws BlockException {
        return graph.add(new StuckNode(graph, length));
    }

    /** Lets all requests go on, now and later. */
    public void release() {
        released.countDown();
    }

    /** How many requests are stuck. */
    public int stuck() {
        return stuck.get();
    }

    private void hang() {
        stuck.incrementAndGet();
        try {
            released.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        stuck.decrementAndGet();
    }

    @Override
    protected void read(long offset, Pieces destination) {
        hang();
        destination.zero();
    }

    @Override
    protected void write(long offset, Pieces source) {
        hang();
    }

    @Override
    protected void flush() {
        hang();
    }

    @Override
    protected long length() {
        return length;
    }
}
