/**
 * A file or block device of the host as a node: data, holes, and the byte locks that tell other
 * processes it is in use.
 */
package lockstep.block.file;
