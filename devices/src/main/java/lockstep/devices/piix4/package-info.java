/**
 * The power management function of the PIIX4: Intel 82371AB, order number 290562-001, section 7. PM1a
 * event, control and timer blocks, general purpose event block 0, the APM ports 0xb2 and 0xb3, the SMBus
 * controller; and the register block at 0xae00 through which ACPI tables learn of PCI hot plug. Section
 * spoken: {@code piix4_pm} v3. Not modelled: system management mode, throttling, device monitors.
 */
package lockstep.devices.piix4;
