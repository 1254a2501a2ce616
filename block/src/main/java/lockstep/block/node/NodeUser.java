package lockstep.block.node;

/** Someone who holds an edge to a node: another node, a backend or a job. */
public interface NodeUser {
    /** How error messages name this user, for example {@code node 'disk0'}. */
    String describe();

    /**
     * The graph now shows another node (or an activated one) at this edge. Called while drained.
     */
    default void childChanged(ChildEdge edge) {}
}
