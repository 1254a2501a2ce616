/**
 * A port to which firmware writes its log, one byte at a time, and from which it reads a value that says
 * that somebody listens (Bochs's port 0xe9, SeaBIOS's 0x402). It has no state.
 */
package lockstep.devices.debugcon;
