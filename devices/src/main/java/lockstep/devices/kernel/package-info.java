/**
 * Direct boot of a kernel without a disk: a Linux image (Documentation/arch/x86/boot.rst), a Multiboot kernel
 * (Multiboot Specification 0.6.96), or an ELF file with an entry for PVH (Xen's start of day ABI). The kernel, its
 * initial RAM disk and its command line are items of the firmware configuration device, under QEMU's keys; an option
 * ROM, which the firmware starts first, copies them into RAM and enters the kernel.
 */
package lockstep.devices.kernel;
