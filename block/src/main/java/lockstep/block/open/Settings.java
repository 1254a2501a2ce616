package lockstep.block.open;

import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.block.node.BlockGraph;
import lockstep.block.open.NodeOpener.Inherited;

import org.jspecify.annotations.Nullable;

/** What a node is opened with. */
record Settings(
        BlockGraph graph,
        @Nullable String givenName,
        boolean readOnly,
        boolean autoReadOnly,
        boolean direct,
        boolean noFlush,
        boolean forceShare,
        boolean discard,
        boolean active,
        BlockdevDetectZeroesOptions detectZeroes,
        int depth) {
    /**
     * The user's name, or the next one that no user can choose: numbers follow the order of
     * opening.
     */
    String name() {
        return givenName == null ? graph.autoName() : givenName;
    }

    Inherited child() {
        return new Inherited(readOnly, autoReadOnly, direct, noFlush, forceShare, true, depth + 1);
    }

    Inherited backing() {
        return new Inherited(true, false, direct, noFlush, forceShare, true, depth + 1);
    }
}
