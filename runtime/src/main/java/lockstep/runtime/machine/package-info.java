/** What a machine is made of, apart from its devices: the lock, vCPUs, interrupt wires, run control. */
package lockstep.runtime.machine;
