/** What the PC board gives to the devices on it: buses, firmware, boot order. */
package lockstep.devices.board;
