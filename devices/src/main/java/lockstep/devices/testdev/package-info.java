/**
 * QEMU's {@code pc-testdev}, whose ports drive interrupts and keep what is written, and {@code pci-testdev}, which counts accesses so that tests can measure a virtual machine monitor: QEMU's {@code
 * docs/specs/pci-testdev.rst}. It has no section: as in QEMU its registers do not travel.
 */
package lockstep.devices.testdev;
