/**
 * The SMBus host controller of the PIIX4 (82371AB, order number 290562-001, section 7.3.6; the block
 * mode as in later Intel controllers) and the eight serial presence detect EEPROMs behind it. Sections
 * spoken: the {@code pmsmb} part of {@code piix4_pm}, {@code i2c_bus} v1 and {@code smbus-eeprom} v1. Not
 * modelled: slave mode, alerts, packet error codes.
 */
package lockstep.devices.smbus;
