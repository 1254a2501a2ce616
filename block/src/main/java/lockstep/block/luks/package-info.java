/**
 * Encrypted disks: LUKS version 1 headers (the LUKS On-Disk Format Specification 1.2.3) and the ciphers behind them, for
 * the driver {@code luks} and for qcow2 images.
 */
package lockstep.block.luks;
