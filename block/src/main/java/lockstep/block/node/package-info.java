/**
 * The node graph: {@link lockstep.block.node.BlockNode} is one layer of a disk, {@link
 * lockstep.block.node.ChildEdge} a use of a node by a node, a backend or a job, and the way of all its
 * requests; {@link lockstep.block.node.BlockGraph} knows who uses what, {@link
 * lockstep.block.node.Names} what it is called, and {@link lockstep.block.node.Drain} keeps requests
 * and changes apart.
 */
package lockstep.block.node;
