/**
 * Intel 82540EM gigabit Ethernet: registers, EEPROM, PHY, descriptor rings with checksum and segmentation
 * offload, filters, interrupt delay, statistics ("PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual"). QEMU: vmstate "e1000" v2. Not modelled: wake-up, flow control, access through I/O
 * ports, writing the EEPROM.
 */
package lockstep.devices.e1000;
