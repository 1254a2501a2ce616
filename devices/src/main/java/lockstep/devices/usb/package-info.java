/**
 * USB 1.1 of the PC: the UHCI controller of the PIIX3 (UHCI 1.1) with two ports, tablet, mouse and keyboard (HID
 * 1.11). QEMU: vmstates "uhci" v3, "usb-ptr" v1, "usb-kbd" v1. The schedule runs once per millisecond of guest
 * time while the guest has started it, and not at all otherwise. Not modelled: hubs, isochronous transfers,
 * legacy support traps.
 */
package lockstep.devices.usb;
