/**
 * The client of the network block device protocol (published specification: proto.md of the NBD
 * project), and the constants and addresses that the server uses as well.
 */
package lockstep.block.nbd;
