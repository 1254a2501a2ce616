package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;

import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.LittleEndian;

import java.util.Arrays;

/**
 * Registers, interrupts and link of the 82540EM; the rings are {@link Transmitter} and {@link Receiver}. Knows
 * no bus: what it needs of the world is {@link Board}. Called under the machine lock.
 */
final class E1000Chip {
    /** What is around the chip. */
    interface Board {
        /** The interrupt pin. */
        void interrupt(boolean level);

        /** Sends a frame without check sequence. */
        void send(byte[] frame, int offset, int length);

        /** Whether frames should stay in the ring until the transmitter is run again. */
        boolean heldBack();

        /** There may be room for frames that were refused. */
        void flush();

        /** Runs the transmitter again soon, once the guest runs. */
        void transmitLater();

        /** Whether the guest lets the chip use memory. */
        boolean busMaster();

        /** Whether the cable is plugged. */
        boolean cable();

        /** The guest wrote the first receive address. */
        void addressChanged(byte[] mac);

        /** Fires {@link #mitigationOver} after that many nanoseconds of guest time. */
        void mitigate(long nanos);

        /** Fires {@link #negotiated} after that many nanoseconds of guest time; negative cancels. */
        void negotiate(long nanos);
    }

    /** Units of the delay registers, in nanoseconds. */
    private static final int TICK = 256;

    /** The part never interrupts more often than 7813 times a second (manual, 13.4.18). */
    private static final int MIN_DELAY = 500;

    private static final long NEGOTIATION = 500_000_000;

    /** Bits that a guest's write can set, per register; 0 for all that it cannot change. */
    private static final int[] WRITABLE = writable();

    // Wiring.
    private final Board board;
    final Transmitter transmitter;
    final Receiver receiver;

    // Configuration.
    private final byte[] mac;

    // Guest-visible state.
    final int[] registers = new int[REGISTERS];
    final Phy phy = new Phy();
    final Eeprom eeprom;
    boolean irqLevel;

    // The delay between interrupts that runs now.
    private boolean mitigating;
    boolean transmitDelay;

    E1000Chip(Board board, GuestMemory memory, byte[] mac, int deviceId) {
        this.board = board;
        this.mac = mac.clone();
        this.eeprom = new Eeprom(mac, deviceId);
        this.transmitter = new Transmitter(this, memory);
        this.receiver = new Receiver(this, memory);
        reset();
    }

    private static int[] writable() {
        int[] w = new int[REGISTERS];
        for (int r :
                new int[] {
                    CTRL_EXT, FCAL, FCAH, FCT, VET, FCTTV, TXCW, TIPG, AIT, LEDCTL, PBA, FCRTL,
                    FCRTH, RDBAH, TDBAH, RXDCTL, TXDCTL, TCTL, RXCSUM, WUC, WUFC, WUS, MANC, IPAV,
                    SWSM, EERD
                }) {
            w[r] = -1;
        }
        w[RDBAL] = ~0xf;
        w[TDBAL] = ~0xf;
        w[RDLEN] = 0xfff80;
        w[TDLEN] = 0xfff80;
        for (int r : new int[] {RDH, RDT, TDH, TDT, ITR, RDTR, RADV, TADV, TIDV}) {
            w[r] = 0xffff;
        }
        for (int r = RDFH; r <= RDFPC; r += 2) {
            w[r] = 0x1fff;
        }
        for (int r = TDFH; r <= TDFPC; r += 2) {
            w[r] = 0x1fff;
        }
        Arrays.fill(w, RA, RA + RA_COUNT, -1);
        Arrays.fill(w, MTA, MTA + MTA_COUNT, -1);
        Arrays.fill(w, VFTA, VFTA + VFTA_COUNT, -1);
        Arrays.fill(w, FFLT, FFLT + 8, -1);
        return w;
    }

    Board board() {
        return board;
    }

    /** The state after power-on. */
    void reset() {
        board.negotiate(-1);
        board.mitigate(-1);
        phy.reset();
        eeprom.reset();
        resetMac();
        if (!board.cable()) {
            linkDown();
        }
    }

    /** What a software reset changes too: everything but PHY and EEPROM. */
    private void resetMac() {
        mitigating = false;
        transmitDelay = false;
        irqLevel = false;
        board.interrupt(false);
        Arrays.fill(registers, 0);
        registers[PBA] = 0x00100030;
        registers[LEDCTL] = 0x0602;
        registers[CTRL] = 0x00140000 | CTRL_SPEED_1000 | CTRL_SLU;
        registers[STATUS] = 0x80080783;
        registers[MANC] = 0x00222300;
        registers[VET] = 0x8100;
        registers[RA] = LittleEndian.get32(mac, 0);
        registers[RA + 1] = LittleEndian.get16(mac, 4) | RAH_VALID;
        transmitter.reset();
        receiver.reset();
        board.addressChanged(mac);
    }

    // ---- Registers --------------------------------------------------------------------------

    /** Reads register word {@code index}. */
    int read(int index) {
        int value = registers[index];
        switch (index) {
            case ICR -> setCause(0);
            case EECD -> {
                return eeprom.readPins();
            }
            case EERD -> {
                return eeprom.readWord(value);
            }
            case RDFH, RDFH + 2, TDFH, TDFH + 2 -> {
                return value & 0x1fff;
            }
            case TORH, TOTH, GORCH, GOTCH -> {
                registers[index] = 0;
                registers[index - 1] = 0;
            }
            case TORL, TOTL, GORCL, GOTCL -> {}
            default -> {
                if (index >= STATISTICS && index < STATISTICS_END) {
                    registers[index] = 0;
                }
            }
        }
        return value;
    }

    /** Writes register word {@code index}; one that does not exist or cannot be written is left alone. */
    void write(int index, int value) {
        switch (index) {
            case CTRL -> writeControl(value);
            case EECD -> eeprom.writePins(value);
            case MDIC -> writeMdic(value);
            case ICR -> setCause(registers[ICR] & ~value);
            case ICS -> raise(value);
            case IMS -> {
                registers[IMS] |= value;
                raise(0);
            }
            case IMC -> {
                registers[IMS] &= ~value;
                raise(0);
            }
            case RCTL -> {
                registers[RCTL] = value;
                receiver.configure();
                board.flush();
            }
            case RDT -> {
                registers[RDT] = value & 0xffff;
                if (receiver.hasRoom(1)) {
                    board.flush();
                }
            }
            case TCTL, TDT -> {
                registers[index] = value & WRITABLE[index];
                registers[TDT] &= 0xffff;
                transmitter.run();
            }
            case RA + 1 -> {
                registers[RA + 1] = value;
                board.addressChanged(receiveAddress());
            }
            default -> {
                if (WRITABLE[index] != 0) {
                    registers[index] = value & WRITABLE[index];
                }
            }
        }
    }

    /** The first receive address as six bytes. */
    private byte[] receiveAddress() {
        byte[] address = new byte[6];
        for (int i = 0; i < 4; i++) {
            address[i] = (byte) (registers[RA] >>> 8 * i);
        }
        address[4] = (byte) registers[RA + 1];
        address[5] = (byte) (registers[RA + 1] >>> 8);
        return address;
    }

    private void writeControl(int value) {
        if ((value & CTRL_RST) != 0) {
            int status = registers[STATUS];
            resetMac();
            registers[STATUS] = status;
            return;
        }
        registers[CTRL] = value & ~(CTRL_RST | CTRL_PHY_RST);
        if ((value & CTRL_PHY_RST) != 0) {
            phy.reset();
            if (!board.cable()) {
                phy.linkDown();
            }
        }
    }

    private void writeMdic(int value) {
        int register = value >>> 16 & 0x1f;
        int result = value;
        if ((value >>> 21 & 0x1f) != 1) {
            result = registers[MDIC] | MDIC_ERROR;
        } else if ((value & MDIC_READ) != 0) {
            if (Phy.readable(register)) {
                result = value & ~0xffff | phy.registers[register];
            } else {
                result |= MDIC_ERROR;
            }
        } else if ((value & MDIC_WRITE) != 0) {
            if (!Phy.writable(register)) {
                result |= MDIC_ERROR;
            } else if (register == Phy.CONTROL) {
                writePhyControl(value & 0xffff);
            } else {
                phy.registers[register] = value & 0xffff;
            }
        }
        registers[MDIC] = result | MDIC_READY;
        if ((value & MDIC_INTERRUPT) != 0) {
            raise(ICR_MDAC);
        }
    }

    private void writePhyControl(int value) {
        if ((value & Phy.CONTROL_RESET) != 0) {
            phy.reset();
            if (!board.cable()) {
                phy.linkDown();
            }
            return;
        }
        phy.registers[Phy.CONTROL] = value & ~(Phy.CONTROL_RESERVED | Phy.CONTROL_RESTART);
        if (phy.autonegotiates() && (value & Phy.CONTROL_RESTART) != 0) {
            linkDown();
            board.negotiate(NEGOTIATION);
        }
    }

    // ---- Link -------------------------------------------------------------------------------

    boolean linked() {
        return (registers[STATUS] & STATUS_LU) != 0;
    }

    private void linkDown() {
        registers[STATUS] &= ~STATUS_LU;
        phy.linkDown();
    }

    private void linkUp() {
        registers[STATUS] |= STATUS_LU;
        phy.linkUp();
        board.flush();
    }

    /** The negotiation timer ran out. */
    void negotiated() {
        if (board.cable()) {
            phy.negotiationDone();
            linkUp();
            raise(ICR_LSC);
        }
    }

    /** The cable was plugged or pulled. */
    void cableChanged() {
        int before = registers[STATUS];
        if (!board.cable()) {
            linkDown();
        } else if (phy.autonegotiates() && !phy.negotiated()) {
            board.negotiate(NEGOTIATION);
        } else {
            linkUp();
        }
        if (registers[STATUS] != before) {
            raise(ICR_LSC);
        }
    }

    /**
     * Brings the link to what loaded registers say. Auto-negotiation that was under way starts again.
     */
    void loaded() {
        transmitDelay = false;
        mitigating = true;
        board.mitigate(1_000_000);
        if (phy.autonegotiates() && !phy.negotiated() && !linked() && board.cable()) {
            board.negotiate(NEGOTIATION);
        }
        if (transmitter.waits()) {
            board.transmitLater();
        }
    }

    // ---- Interrupts -------------------------------------------------------------------------

    /** Adds causes. */
    void raise(int causes) {
        setCause(registers[ICR] | causes);
    }

    private void setCause(int causes) {
        registers[ICR] = causes;
        // Some drivers read the causes here (manual, 13.4.20: the set register is write-only).
        registers[ICS] = causes;
        int pending = registers[IMS] & causes;
        if (!irqLevel && pending != 0) {
            if (mitigating) {
                return;
            }
            int delay = 0;
            if (transmitDelay && (pending & (ICR_TXQE | ICR_TXDW)) != 0) {
                delay = shorter(delay, registers[TADV] * 4);
            }
            if (registers[RDTR] != 0 && (pending & ICR_RXT0) != 0) {
                delay = shorter(delay, registers[RADV] * 4);
            }
            delay = Math.max(shorter(delay, registers[ITR]), MIN_DELAY);
            mitigating = true;
            transmitDelay = false;
            board.mitigate((long) delay * TICK);
        }
        irqLevel = pending != 0;
        board.interrupt(irqLevel);
    }

    /** The shorter of two delays, of which 0 means none. */
    private static int shorter(int delay, int other) {
        return other != 0 && (delay == 0 || other < delay) ? other : delay;
    }

    /** The delay after an interrupt is over: the next one may come. */
    void mitigationOver() {
        mitigating = false;
        setCause(registers[ICR]);
    }

    // ---- Statistics -------------------------------------------------------------------------

    /** Adds one to a counter that stays at its maximum. */
    void count(int register) {
        if (registers[register] != -1) {
            registers[register]++;
        }
    }

    /** Adds to a 64-bit counter whose low word is {@code register}. */
    void countBytes(int register, int amount) {
        long sum =
                (registers[register] & 0xffff_ffffL | (long) registers[register + 1] << 32)
                        + amount;
        registers[register] = (int) sum;
        registers[register + 1] = (int) (sum >>> 32);
    }

    /** Adds one to the counter of a frame's size class, of which {@code first} is up to 64 bytes. */
    void countSize(int first, int size) {
        int slot =
                size <= 64
                        ? 0
                        : size < 128 ? 1 : size < 256 ? 2 : size < 512 ? 3 : size < 1024 ? 4 : 5;
        count(first + slot);
    }
}
