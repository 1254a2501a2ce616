/**
 * The node graph: {@link lockstep.block.node.BlockNode} is one layer of a disk, {@link
 * lockstep.block.node.ChildEdge} a named use of a node by a node, a backend or a job, and {@link
 * lockstep.block.node.BlockGraph} owns the names, the worker threads and the gate that lets the
 * graph change only while no request is inside it.
 */
package lockstep.block.node;
