package lockstep.block;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.runtime.linux.Errno;

import java.util.concurrent.CountDownLatch;

/**
 * Passes everything to its child until a number of writes has been made; then the disk is gone, as
 * after a kill. Or it hangs.
 */
public final class FaultyNode extends FilterNode {
    private int writesLeft;
    private int readsFail;
    private volatile CountDownLatch hangs = new CountDownLatch(0);

    private FaultyNode(BlockGraph graph, int writes) {
        super(graph, "faulty", graph.autoName(), false);
        this.writesLeft = writes;
    }

    /** Puts the node over a child whose reference it takes over. */
    public static FaultyNode over(BlockNode child, int writes) throws BlockException {
        BlockGraph graph = child.graph();
        FaultyNode node = graph.add(new FaultyNode(graph, writes));
        graph.attach(node, "file", Role.FILTERED, child);
        graph.release(child);
        return node;
    }

    /** Lets all reads fail with an error number, 0 to let them work again. */
    public void failReads(int errno) {
        readsFail = errno;
    }

    /** From now on nothing that changes the disk, nor a flush, ends before {@link #goOn}. */
    public void hang() {
        hangs = new CountDownLatch(1);
    }

    /** The disk works again. */
    public void goOn() {
        hangs.countDown();
    }

    private void awaitDisk() throws BlockException {
        try {
            hangs.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new BlockException(Errno.EINTR);
        }
    }

    /** Lets so many more writes through. */
    public void allowWrites(int writes) {
        writesLeft = writes;
    }

    private void spend() throws BlockException {
        awaitDisk();
        if (writesLeft-- <= 0) {
            throw new BlockException(Errno.EIO);
        }
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        if (readsFail != 0) {
            throw new BlockException(readsFail);
        }
        file().read(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        spend();
        file().write(offset, source);
    }

    @Override
    protected void flush() throws BlockException {
        awaitDisk();
        if (writesLeft <= 0) {
            throw new BlockException(Errno.EIO);
        }
        file().flush();
    }

    @Override
    protected void truncate(long length) throws BlockException {
        spend();
        file().truncate(length);
    }
}
