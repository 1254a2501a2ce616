package lockstep.devices.pci;

import lockstep.runtime.memory.LittleEndian;

/**
 * A function's message signalled interrupt: PCI Local Bus 3.0 section 6.8.1, one vector, a 64-bit address, no mask.
 * Made in the function's constructor.
 */
public final class MessageInterrupt {
    private static final int CAPABILITY = 0x05;
    private static final int LENGTH = 14;
    private static final int CONTROL = 2;
    private static final int ADDRESS = 4;
    private static final int DATA = 12;
    private static final int ENABLE = 0x0001;
    private static final int VECTORS = 0x0070;
    private static final int WIDE = 0x0080;

    private final PciFunction function;
    private final int at;

    /** Adds the capability to the function's configuration space. */
    public MessageInterrupt(PciFunction function) {
        this.function = function;
        at = function.addCapability(CAPABILITY, LENGTH);
        LittleEndian.put16(function.config, at + CONTROL, WIDE);
        LittleEndian.put16(function.writeMask, at + CONTROL, ENABLE | VECTORS);
        LittleEndian.put32(function.writeMask, at + ADDRESS, 0xffff_fffc);
        LittleEndian.put32(function.writeMask, at + ADDRESS + 4, -1);
        LittleEndian.put16(function.writeMask, at + DATA, 0xffff);
    }

    /** Whether the guest wants messages instead of the pin. */
    public boolean enabled() {
        return (LittleEndian.get16(function.config, at + CONTROL) & ENABLE) != 0;
    }

    /** Interrupts the guest, if it lets the function write to memory. */
    public void send() {
        if (function.busMaster()) {
            long low = LittleEndian.get32(function.config, at + ADDRESS) & 0xffff_ffffL;
            long high = LittleEndian.get32(function.config, at + ADDRESS + 4);
            function.machine()
                    .signalMessage(
                            high << 32 | low, LittleEndian.get16(function.config, at + DATA));
        }
    }

    /** A reset of the function. */
    public void reset() {
        LittleEndian.put16(function.config, at + CONTROL, WIDE);
        LittleEndian.put32(function.config, at + ADDRESS, 0);
        LittleEndian.put32(function.config, at + ADDRESS + 4, 0);
        LittleEndian.put16(function.config, at + DATA, 0);
    }
}
