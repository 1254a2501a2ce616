/** The few calls of the C library that passing file descriptors over a UNIX socket takes. */
package lockstep.qmp.linux;
