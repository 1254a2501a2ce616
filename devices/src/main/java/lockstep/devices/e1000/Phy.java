package lockstep.devices.e1000;

/**
 * The integrated 88E1000-compatible PHY, address 1 on the management interface (IEEE 802.3 clause 22; manual,
 * 13.4.10 and table 13-20). Holds registers; the auto-negotiation timer is the chip's.
 */
final class Phy {
    static final int COUNT = 32;

    static final int CONTROL = 0;
    static final int STATUS = 1;
    static final int PARTNER = 5;

    static final int CONTROL_RESERVED = 0x003f;
    static final int CONTROL_RESTART = 0x0200;
    static final int CONTROL_AUTONEG = 0x1000;
    static final int CONTROL_LOOPBACK = 0x4000;
    static final int CONTROL_RESET = 0x8000;

    static final int STATUS_LINK = 0x0004;
    static final int STATUS_AUTONEG_DONE = 0x0020;
    static final int PARTNER_ACK = 0x4000;

    /** Registers that exist: 0 to 6, 8 to 10, 16 to 21, 29 and 30. */
    private static final int READABLE = 0x603f077f;

    /** 0, 4, 7, 9, 16, 18, 20, 29 and 30. */
    private static final int WRITABLE = 0x60150291;

    // Guest-visible state.
    final int[] registers = new int[COUNT];

    Phy() {
        reset();
    }

    /** The state after power-on: linked at 1000 Mbit/s, full duplex. */
    void reset() {
        java.util.Arrays.fill(registers, 0);
        registers[CONTROL] = 0x1140;
        registers[STATUS] = 0x794d;
        registers[2] = 0x0141;
        registers[3] = 0x0c20;
        registers[4] = 0x0de1;
        registers[PARTNER] = 0x01e0;
        registers[9] = 0x0e00;
        registers[10] = 0x3c00;
        registers[16] = 0x0360;
        registers[17] = 0xac00;
        registers[20] = 0x0d60;
    }

    static boolean readable(int register) {
        return (READABLE >>> register & 1) != 0;
    }

    static boolean writable(int register) {
        return (WRITABLE >>> register & 1) != 0;
    }

    boolean autonegotiates() {
        return (registers[CONTROL] & CONTROL_AUTONEG) != 0;
    }

    boolean negotiated() {
        return (registers[STATUS] & STATUS_AUTONEG_DONE) != 0;
    }

    boolean loopback() {
        return (registers[CONTROL] & CONTROL_LOOPBACK) != 0;
    }

    void linkDown() {
        registers[STATUS] &= ~(STATUS_LINK | STATUS_AUTONEG_DONE);
        registers[PARTNER] &= ~PARTNER_ACK;
    }

    void linkUp() {
        registers[STATUS] |= STATUS_LINK;
    }

    void negotiationDone() {
        registers[PARTNER] |= PARTNER_ACK;
        registers[STATUS] |= STATUS_AUTONEG_DONE;
    }
}
