/** Processes that serve disks and have no machine: what the storage daemon and the NBD server are built on. */
package lockstep.tools.server;
