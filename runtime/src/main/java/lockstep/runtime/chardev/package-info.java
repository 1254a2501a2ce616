/** Character devices: byte streams between the host and a front end such as a monitor, a serial port or a net filter. */
package lockstep.runtime.chardev;
