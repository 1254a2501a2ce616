/**
 * Conventional PCI as the PC has it: one bus behind configuration mechanism 1, functions with a
 * 256-byte configuration space, base address registers that follow the guest's writes, and INTx wires
 * that the south bridge routes. PCI Local Bus Specification 3.0, chapter 6. Sections spoken: {@code
 * PCIHost} v1, {@code PCIBUS} v1, and the {@code PCIDevice} v2 prefix of every function. Not modelled:
 * bridges to further buses, message signalled interrupts, PCI Express.
 */
package lockstep.devices.pci;
