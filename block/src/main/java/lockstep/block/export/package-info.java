/** The NBD server: other processes and machines do I/O on nodes of this one. */
package lockstep.block.export;
