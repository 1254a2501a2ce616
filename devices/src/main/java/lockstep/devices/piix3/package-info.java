/**
 * The south bridge's ISA function: Intel 82371SB (PIIX3, order number 290550-002). It routes the four PCI
 * interrupt wires to ISA interrupts and holds the reset control register. Section spoken: {@code PIIX3}
 * v3. Not modelled: ISA decode control, MBIRQ, power management of the part.
 */
package lockstep.devices.piix3;
