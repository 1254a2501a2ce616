/**
 * System management BIOS structures (DMTF DSP0134 2.8): what the machine calls itself, handed to firmware
 * as two files, which it completes with addresses, checksums and its own type 0.
 */
package lockstep.devices.smbios;
