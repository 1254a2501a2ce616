package lockstep.block.nullco;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.Pieces;

import java.util.concurrent.locks.LockSupport;

/** Drivers {@code null-co} and {@code null-aio}. */
public class NullNode extends BlockNode {
    /** 1 GiB, the length when none is given. */
    public static final long DEFAULT_SIZE = 1L << 30;

    private final long size;
    private final long latencyNanos;
    private final boolean readZeroes;

    /**
     * A node that stores nothing.
     *
     * @param readZeroes reads fill the buffer with zeroes; otherwise they leave it as it is
     */
    public NullNode(
            BlockGraph graph,
            String driver,
            String name,
            boolean readOnly,
            long size,
            long latencyNanos,
            boolean readZeroes) {
        super(graph, driver, name, readOnly);
        this.size = size;
        this.latencyNanos = latencyNanos;
        this.readZeroes = readZeroes;
    }

    private void delay() {
        if (latencyNanos > 0) {
            LockSupport.parkNanos(latencyNanos);
        }
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        checkRange(offset, destination.byteSize(), size);
        delay();
        if (readZeroes) {
            destination.zero();
        }
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        checkRange(offset, source.byteSize(), size);
        delay();
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        checkRange(offset, length, size);
        delay();
    }

    @Override
    protected void flush() {
        delay();
    }

    @Override
    protected long length() {
        return size;
    }

    @Override
    public String plainFilename() {
        return info().options().members().isEmpty() ? driver() + "://" : "";
    }

    @Override
    protected BlockStatus status(long offset, long length) {
        return new BlockStatus(length, false, readZeroes, true);
    }
}
