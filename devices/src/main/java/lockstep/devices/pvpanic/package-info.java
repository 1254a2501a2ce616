/** A port through which a guest tells that it crashed or powers off: QEMU's {@code docs/specs/pvpanic.rst}. No state. */
package lockstep.devices.pvpanic;
