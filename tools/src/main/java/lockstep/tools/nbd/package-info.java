/** {@code lockstep-nbd}: serves an image to NBD clients, or lists what a server has; qemu-nbd's command line. */
package lockstep.tools.nbd;
