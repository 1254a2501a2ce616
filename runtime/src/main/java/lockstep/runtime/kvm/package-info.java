/**
 * The accelerator: a virtual machine, its memory slots, interrupt controllers, timer and vCPUs in the
 * Linux kernel, and their state in the migration stream (QEMU: vmstate "cpu_common" v1, "cpu" v12, "apic"
 * v3, "kvmclock" v1, "i8259" v1, "ioapic" v3, "i8254" v3, "kvm-tpr-opt" v1, "timer" v2). Registers are
 * those of the Intel SDM volume 3 and the AMD64 APM volume 2; the chips' data sheets are 8259A, 82093AA
 * and 8254. Interrupt controllers that are not to be the kernel's are those of {@link lockstep.runtime.chip}. Not modelled: nested virtualisation, system management mode, Hyper-V and Xen interfaces.
 */
package lockstep.runtime.kvm;
