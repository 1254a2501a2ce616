/**
 * The PS/2 controller (Intel 8042 as the IBM PS/2 hardware interface technical reference programs it) with
 * its keyboard and mouse. Sections spoken: {@code ps2kbd} v3, {@code ps2mouse} v2, {@code pckbd} v3. Not
 * modelled: scan code set 3's per-key modes, typematic repeat, the A20 gate's effect.
 */
package lockstep.devices.ps2;
