/**
 * The machine of all tests that need one without KVM: the core of a PC on the accelerator {@code qtest}, whose vCPUs
 * never run, in a process whose clocks are moved by hand ({@link lockstep.runtime.testmachine.TestMachine}). Rooms above get it as
 * the runtime's test jar.
 */
package lockstep.runtime.testmachine;
