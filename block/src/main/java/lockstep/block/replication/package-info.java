/**
 * Disk replication for COLO. On the primary the node hides errors of the way to the secondary; on
 * the secondary it puts the guest's writes in an active disk while the disk below follows the
 * primary, and keeps what that overwrites in a hidden disk until the next checkpoint.
 */
package lockstep.block.replication;
