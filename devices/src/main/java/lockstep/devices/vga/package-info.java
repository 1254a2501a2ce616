/**
 * The standard VGA of a PC: IBM VGA registers and planar memory window, the Bochs display extension
 * (ports 0x1ce/0x1cf and BAR2) and 16 MiB of linear video memory, PCI 1234:1111. QEMU: vmstate "vga" v2.
 * Nothing is drawn: there is no display behind it, and retrace is simulated by alternation.
 */
package lockstep.devices.vga;
