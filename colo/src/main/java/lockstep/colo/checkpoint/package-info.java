/**
 * Checkpoints and failover: the driver of a COLO pair behind the migration that set it up. The primary
 * sends RAM and device state at each checkpoint, the secondary keeps them apart until they are complete
 * and then becomes equal to the primary at once; when the other side dies, either one goes on alone. The
 * messages and their order are QEMU's.
 */
package lockstep.colo.checkpoint;
