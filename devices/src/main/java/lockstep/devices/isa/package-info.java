/**
 * The ISA bus {@code isa.0}: which serial and parallel ports are on it and where, and what all its devices
 * have in common. It has no state.
 */
package lockstep.devices.isa;
