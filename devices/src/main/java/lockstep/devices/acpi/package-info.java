/**
 * The ACPI tables that firmware places in guest memory: built here from the ACPI specification 1.0b and
 * 6.5, handed over as three blocks with a script that says where they want to lie and which pointers and
 * checksums depend on it (QEMU: docs/specs, "BIOS linker loader"). Section spoken: {@code acpi_build} v1.
 * Not modelled: hot plug of devices, memory or processors.
 */
package lockstep.devices.acpi;
