/**
 * What runs guests, seen from outside: a virtual machine's vCPUs, interrupt controllers, interval timer, guest time,
 * memory slots and dirty log. {@link lockstep.runtime.accelerator.AcceleratedMachine} puts them together; boards see
 * that, and only the packages that implement an {@link lockstep.runtime.accelerator.AcceleratorType} know how a
 * processor runs. vCPUs keep their state in the form of the migration sections ({@link
 * lockstep.runtime.cpu.VcpuState}, {@link lockstep.runtime.cpu.LocalApic}).
 */
package lockstep.runtime.accelerator;
