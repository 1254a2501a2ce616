/**
 * The serial port: a 16550A (National Semiconductor PC16550D data sheet, June 1995) in front of a
 * character device. Section spoken: {@code serial} v3. Characters leave at once, whatever the baud rate.
 * Not modelled: line errors, modem lines of the host, which always reads ready.
 */
package lockstep.devices.serial;
