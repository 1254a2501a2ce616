package lockstep.block.node;

/** A node that passes everything on to its first child; drivers change what they are for. */
public abstract class FilterNode extends BlockNode {
    /** As {@link BlockNode}'s. */
    protected FilterNode(BlockGraph graph, String driver, String name, boolean readOnly) {
        super(graph, driver, name, readOnly);
    }

    /** The node below. */
    protected final ChildEdge file() {
        return children().getFirst();
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        file().read(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        file().write(offset, source);
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        file().writeZeroes(offset, length, mayUnmap);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        file().discard(offset, length);
    }

    @Override
    protected void flush() throws BlockException {
        file().flush();
    }

    @Override
    protected long length() throws BlockException {
        return file().length();
    }

    @Override
    protected void truncate(long length) throws BlockException {
        file().truncate(length);
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        return file().status(offset, length);
    }
}
