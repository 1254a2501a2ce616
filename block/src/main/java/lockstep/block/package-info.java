/**
 * What the rest of the house sees of the block room: {@link lockstep.block.BlockBackend}, the
 * handle through which a guest device or an export does I/O on a tree of nodes, {@link
 * lockstep.block.BlockLayer} to find drives, and {@link lockstep.block.ReplicationControl} for
 * COLO.
 */
package lockstep.block;
