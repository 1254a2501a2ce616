/** Flash memory: firmware that a guest can change. */
package lockstep.devices.flash;
