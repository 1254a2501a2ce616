package lockstep.devices.fdc;

import static lockstep.devices.fdc.FdcSpec.*;

import lockstep.devices.isa.DmaChannel;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.util.Arrays;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * The controller: registers, phases and all commands but for those that move data, which {@link Transfers} carries
 * out. Under the machine lock.
 */
final class FdcChip {
    /** What the controller is at. */
    static final int COMMAND_PHASE = 1;

    static final int EXECUTION_PHASE = 2;
    static final int RESULT_PHASE = 3;

    static final int FIFO_SIZE = 512;
    private static final int DRIVES = 2;

    /** How many ready-change reports a reset leaves behind: one per possible drive. */
    private static final int DRIVES_AT_RESET = 4;

    /** How long a sector's mark takes to come by, as QEMU has it. */
    private static final long READ_ID_NANOS = 20_000_000;

    // Wiring.
    private final Irq irq;
    private final DmaChannel dma;
    private final Timer found;
    private final LongSupplier clock;
    private final Transfers transfers;
    private final Drive[] drives = {new Drive(), new Drive()};

    // Guest-visible state.
    private int sra;
    private int srb;
    private int dor;
    private int tdr;
    private int dsr;
    private int msr;
    private int status0;
    private int status1;
    private int status2;
    final byte[] fifo = new byte[FIFO_SIZE];

    /** Of the phase's bytes, and how many there are; more than the FIFO holds while data moves. */
    int position;

    int length;
    int dataState;
    int direction;

    /** The last sector of a track. */
    int endOfTrack;

    private int timer0;
    private int timer1;
    private int precompensation;
    private int config;
    private int lock;
    private int powerDown;
    private int senseAfterReset;
    private int phase = COMMAND_PHASE;

    /**
     * A controller without drives.
     *
     * @param timer makes a timer of guest time
     */
    FdcChip(Irq irq, DmaChannel dma, Function<Runnable, Timer> timer, LongSupplier clock) {
        this.irq = irq;
        this.dma = dma;
        this.clock = clock;
        found = timer.apply(this::identified);
        transfers = new Transfers(this, dma);
        dma.connect(transfers::granted);
    }

    /** The drive at a connector, 0 or 1. */
    Drive connector(int n) {
        return drives[n];
    }

    /** The drive of a number, 0 or 1, which the guest may have exchanged. */
    private Drive drive(int n) {
        return drives[(tdr & TDR_BOOT_DRIVE) == 0 ? n : 1 - n];
    }

    /** The selected drive. */
    Drive drive() {
        return drive(dor & 1);
    }

    void systemReset() {
        dor = DOR_NOT_RESET | DOR_DMA;
        dsr = 0;
        tdr = 0;
        lock = 0;
        reset(false);
    }

    private void reset(boolean interrupt) {
        found.cancel();
        transfers.cancel();
        lowerIrq();
        sra = drives[1].connected() ? 0 : SRA_NO_SECOND_DRIVE;
        srb = SRB_DEFAULT;
        msr = 0;
        status1 = 0;
        status2 = 0;
        if (lock == 0) {
            config = CONFIG_DEFAULT;
            timer0 = 0;
            timer1 = 0;
            precompensation = 0;
        }
        dataState = 0;
        endOfTrack = 0;
        powerDown = 0;
        for (Drive d : drives) {
            d.recalibrate();
        }
        idle();
        senseAfterReset = 0;
        if (interrupt) {
            status0 = ST0_READY_CHANGED;
            raiseIrq();
            senseAfterReset = DRIVES_AT_RESET;
        }
    }

    /** Ready for a command. */
    private void idle() {
        phase = COMMAND_PHASE;
        direction = Transfers.WRITE;
        msr = msr & ~(MSR_BUSY | MSR_TO_HOST) | MSR_READY;
        position = 0;
        length = 1;
    }

    void raiseIrq() {
        if ((sra & SRA_PENDING) == 0) {
            sra |= SRA_PENDING;
            irq.set(true);
        }
        senseAfterReset = 0;
    }

    private void lowerIrq() {
        status0 = 0;
        sra &= ~SRA_PENDING;
        irq.set(false);
    }

    /** What the guest reads from a register, by its distance from the base. */
    int read(int register) {
        return switch (register) {
            case SRB -> srb;
            case DOR -> dor;
            case TDR -> tdr;
            case MSR -> {
                dsr &= ~DSR_POWER_DOWN;
                dor |= DOR_NOT_RESET;
                yield transfers.waiting() ? msr & ~MSR_READY : msr;
            }
            case FIFO -> readData();
            case DIR -> drive().changed ? DIR_CHANGED : 0;
            default -> 0xff;
        };
    }

    /** The guest writes a byte to a register. */
    void write(int register, int v) {
        if (register == DOR) {
            writeDor(v);
        } else if ((dor & DOR_NOT_RESET) != 0) {
            switch (register) {
                case TDR -> tdr = v & TDR_BOOT_DRIVE;
                case DSR -> {
                    if ((v & (DSR_RESET | DSR_POWER_DOWN)) != 0) {
                        reset(true);
                    }
                    dsr = v & ~DSR_RESET;
                }
                case FIFO -> writeData(v);
                case CCR -> dsr = dsr & ~DSR_RATE | v & DSR_RATE;
                default -> {
                    // SRA and SRB are read only.
                }
            }
        }
    }

    private void writeDor(int v) {
        boolean leaving = (v & ~dor & DOR_NOT_RESET) != 0;
        if (leaving) {
            reset(true);
            dsr &= ~DSR_POWER_DOWN;
        } else if ((dor & ~v & DOR_NOT_RESET) != 0) {
            lowerIrq();
        }
        srb = srb & 0xc0 | (v >> 4 & 3) | (v & 1) << 5;
        dor = v;
    }

    private int readData() {
        dsr &= ~DSR_POWER_DOWN;
        if ((msr & (MSR_READY | MSR_TO_HOST)) != (MSR_READY | MSR_TO_HOST) || transfers.waiting()) {
            return 0;
        }
        if (phase == EXECUTION_PHASE) {
            return transfers.take();
        }
        int value = fifo[position % FIFO_SIZE] & 0xff;
        if (++position >= length) {
            idle();
            lowerIrq();
        }
        return value;
    }

    private void writeData(int v) {
        if ((msr & (MSR_READY | MSR_TO_HOST)) != MSR_READY || transfers.waiting()) {
            return;
        }
        dsr &= ~DSR_POWER_DOWN;
        if (phase == EXECUTION_PHASE) {
            transfers.put(v);
            return;
        }
        if (position == 0) {
            length = parameters(v) + 1;
            msr |= MSR_BUSY;
        }
        fifo[position++ % FIFO_SIZE] = (byte) v;
        if (position == length) {
            phase = EXECUTION_PHASE;
            execute(fifo[0] & 0xff);
        } else if (position == FIFO_SIZE) {
            // Only a stream that stopped inside a command of no controller leads here.
            idle();
        }
    }

    private void select() {
        dor = dor & ~1 | fifo[1] & 1;
    }

    int parameter(int n) {
        return fifo[n] & 0xff;
    }

    private void execute(int command) {
        switch (operation(command)) {
            case 0x02, 0x06 -> transfer(Transfers.READ);
            case 0x05 -> transfer(Transfers.WRITE);
            case 0x11 -> transfer(Transfers.SCAN_EQUAL);
            case 0x16 -> transfer(Transfers.VERIFY);
            case 0x19 -> transfer(Transfers.SCAN_LOW);
            case 0x1d -> transfer(Transfers.SCAN_HIGH);
            // No image has deleted sectors, nor can tell that one is.
            case 0x09, 0x0c -> {
                select();
                end(ST0_ABNORMAL | ST0_SEEK_END, 0, 0);
            }
            case 0x0d -> {
                select();
                transfers.format();
            }
            case 0x03 -> {
                timer0 = fifo[1] >> 4 & 0x0f;
                timer1 = fifo[2] >> 1 & 0x7f;
                dor = (fifo[2] & 1) != 0 ? dor & ~DOR_DMA : dor | DOR_DMA;
                idle();
            }
            case 0x04 -> {
                select();
                Drive d = drive();
                d.select(fifo[1] >> 2 & 1);
                reply(
                        (d.spot.track() == 0 ? ST3_TRACK_0 : 0)
                                | (d.writeProtected() ? ST3_WRITE_PROTECTED : 0)
                                | d.spot.head() << 2
                                | dor & 1
                                | ST3_ALWAYS);
            }
            case 0x07 -> {
                select();
                drive().recalibrate();
                seekEnd();
            }
            case 0x08 -> senseInterrupt();
            case 0x0a -> {
                select();
                drive().select(fifo[1] >> 2 & 1);
                msr &= ~MSR_READY;
                found.arm(clock.getAsLong() + READ_ID_NANOS);
            }
            case 0x0e -> dumpRegisters();
            case 0x0f -> {
                select();
                drive().step(parameter(2));
                seekEnd();
            }
            case 0x8f, 0xcf -> {
                select();
                drive().stepBy(command == 0xcf ? parameter(2) : -parameter(2));
                seekEnd();
            }
            case 0x10 -> reply(0x90);
            case 0x12 -> {
                if ((fifo[1] & 0x80) != 0) {
                    drive().perpendicular = fifo[1] & 7;
                }
                idle();
            }
            case 0x13 -> {
                config = parameter(2);
                precompensation = parameter(3);
                idle();
            }
            case 0x14 -> {
                lock = (command & 0x80) != 0 ? 1 : 0;
                reply(lock << 4);
            }
            case 0x17 -> {
                powerDown = parameter(1);
                reply(powerDown);
            }
            case 0x18 -> reply(0x41);
            case 0x2e -> saveRegisters();
            // What an option or a drive specification says matters to no drive here.
            case 0x33, 0x8e -> idle();
            case 0x4e -> restoreRegisters();
            default -> reply(ST0_INVALID);
        }
    }

    private void seekEnd() {
        idle();
        status0 |= ST0_SEEK_END;
        raiseIrq();
    }

    /** Notes that the heads moved for a transfer. */
    void sought() {
        status0 |= ST0_SEEK_END;
    }

    /** Begins to move data. */
    private void transfer(int what) {
        select();
        Drive d = drive();
        int[] wanted = {parameter(2), parameter(3), parameter(4)};
        Drive.Seek seek = d.seek(new Drive.Spot(wanted[1], wanted[0], wanted[2]));
        int error =
                switch (seek) {
                    case NO_TRACK -> 0;
                    case NO_SECTOR -> ST1_END_OF_CYLINDER;
                    default -> (dsr & DSR_RATE) == d.rate ? -1 : ST1_NO_ADDRESS_MARK;
                };
        if (seek == Drive.Seek.MOVED) {
            sought();
        }
        if (error < 0 && parameter(5) != 0 && parameter(6) + 1 < wanted[2]) {
            error = ST1_NO_ADDRESS_MARK;
        }
        if (error >= 0) {
            end(ST0_ABNORMAL, error, 0);
            for (int i = 0; i < wanted.length; i++) {
                fifo[3 + i] = (byte) wanted[i];
            }
            return;
        }
        transfers.start(what);
    }

    boolean byDma() {
        return (dor & DOR_DMA) != 0;
    }

    /** The data goes through the FIFO, or moves without the guest's help. */
    void executes(boolean byHand, boolean toHost) {
        msr = byHand ? msr | MSR_BY_HAND | MSR_READY : msr & ~MSR_READY;
        if (byHand && toHost) {
            msr |= MSR_TO_HOST;
        }
    }

    /** Whether data is to move and the guest does not do it. */
    boolean movesByItself() {
        return phase == EXECUTION_PHASE && (msr & (MSR_READY | MSR_BY_HAND)) == 0 && !found.armed();
    }

    /** Whether the guest is to fetch data. */
    boolean fetchedByHand() {
        return phase == EXECUTION_PHASE
                && (msr & (MSR_BY_HAND | MSR_TO_HOST)) == (MSR_BY_HAND | MSR_TO_HOST);
    }

    /** A command with a result of seven bytes is over. */
    void end(int st0, int st1, int st2) {
        Drive d = drive();
        dma.release();
        msr &= ~MSR_BY_HAND;
        status0 = status0 & ~7 | dor & 1 | d.spot.head() << 2 | st0;
        status1 = st1;
        status2 = st2;
        dataState &= ~Transfers.FORMAT;
        reply(status0, st1, st2, d.spot.track(), d.spot.head(), d.spot.sector(), SIZE_CODE);
        raiseIrq();
    }

    /** A sector's mark came by: the medium's data rate decides whether it could be read. */
    private void identified() {
        Drive d = drive();
        d.turn();
        boolean readable = (dsr & DSR_RATE) == d.rate;
        end(readable ? 0 : ST0_ABNORMAL, readable ? 0 : ST1_NO_ADDRESS_MARK, 0);
    }

    private void senseInterrupt() {
        if (senseAfterReset > 0) {
            int left = senseAfterReset - 1;
            reply(ST0_READY_CHANGED | DRIVES_AT_RESET - 1 - left, drive().spot.track());
            lowerIrq();
            senseAfterReset = left;
        } else if ((sra & SRA_PENDING) == 0) {
            reply(ST0_INVALID);
            return;
        } else {
            reply(status0 & ~7 | dor & 1, drive().spot.track());
            lowerIrq();
        }
        status0 = ST0_READY_CHANGED;
    }

    private void dumpRegisters() {
        Drive d = drive();
        reply(
                drive(0).spot.track(),
                drive(1).spot.track(),
                0,
                0,
                timer0,
                timer1 << 1 | (dor & DOR_DMA) >> 3,
                d.lastSector,
                lock << 7 | d.perpendicular << 2,
                config,
                precompensation);
    }

    private void saveRegisters() {
        Drive d = drive();
        reply(
                0,
                0,
                drive(0).spot.track(),
                drive(1).spot.track(),
                0,
                0,
                timer0,
                timer1,
                d.lastSector,
                lock << 7 | d.perpendicular << 2,
                config,
                precompensation,
                powerDown,
                0,
                0);
    }

    /** Takes what {@link #saveRegisters} gave; its fifteen bytes follow two of which nothing is kept. */
    private void restoreRegisters() {
        for (int i = 0; i < DRIVES; i++) {
            Drive.Spot s = drive(i).spot;
            drive(i).spot = new Drive.Spot(s.head(), parameter(3 + i), s.sector());
        }
        timer0 = fifo[7] & 0x0f;
        timer1 = fifo[8] & 0x7f;
        drive().lastSector = parameter(9);
        lock = fifo[10] >> 7 & 1;
        drive().perpendicular = fifo[10] >> 2 & 0x0f;
        config = parameter(11);
        precompensation = parameter(12);
        powerDown = parameter(13);
        idle();
    }

    private void reply(int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            fifo[i] = (byte) bytes[i];
        }
        phase = RESULT_PHASE;
        direction = Transfers.READ;
        position = 0;
        length = bytes.length;
        msr |= MSR_READY | MSR_TO_HOST | MSR_BUSY;
    }

    /** The phase that the registers suggest, which is what they are without a word about it. */
    private int suggestedPhase() {
        if ((msr & MSR_BY_HAND) != 0 || (msr & MSR_READY) == 0) {
            return EXECUTION_PHASE;
        }
        return (msr & MSR_TO_HOST) != 0 ? RESULT_PHASE : COMMAND_PHASE;
    }

    /** QEMU: vmstate "fdc" v2. */
    void describe(StateCodec c) throws StateException {
        if (c.loading()) {
            transfers.cancel();
            found.cancel();
            senseAfterReset = 0;
            phase = 0;
            Arrays.fill(fifo, (byte) 0);
        }
        sra = c.u8("sra", sra);
        srb = c.u8("srb", srb);
        dor = c.u8("dor_vmstate", dor);
        tdr = c.u8("tdr", tdr);
        dsr = c.u8("dsr", dsr);
        msr = c.u8("msr", msr);
        status0 = c.u8("status0", status0);
        status1 = c.u8("status1", status1);
        status2 = c.u8("status2", status2);
        c.bytes("fifo", fifo);
        position = c.u32("data_pos", position);
        length = c.u32("data_len", length);
        dataState = c.u8("data_state", dataState);
        direction = c.u8("data_dir", direction);
        endOfTrack = c.u8("eot", endOfTrack);
        timer0 = c.u8("timer0", timer0);
        timer1 = c.u8("timer1", timer1);
        precompensation = c.u8("precomp_trk", precompensation);
        config = c.u8("config", config);
        lock = c.u8("lock", lock);
        powerDown = c.u8("pwrd", powerDown);
        c.equalU8("num_floppies", DRIVES);
        c.structs("drives", "fdrive", 1, DRIVES, (s, i) -> drives[i].describe(s));
        c.subsection(
                "fdc/reset_sensei",
                1,
                senseAfterReset != 0,
                s -> senseAfterReset = s.i32("reset_sensei", senseAfterReset));
        c.subsection(
                "fdc/result_timer",
                1,
                found.armed(),
                s -> found.arm(s.timer("result_timer", found.deadline())));
        c.subsection("fdc/phase", 1, phase != suggestedPhase(), s -> phase = s.u8("phase", phase));
        if (c.loading()) {
            phase = phase == 0 ? suggestedPhase() : phase;
            check(c);
        }
    }

    private void check(StateCodec c) throws StateException {
        boolean executes = phase == EXECUTION_PHASE;
        int most = executes ? Transfers.MAX_LENGTH : FIFO_SIZE;
        // A command that needs no data keeps what it had of its parameters.
        int end =
                executes && (msr & MSR_BY_HAND) == 0
                        ? length + 1
                        : phase == COMMAND_PHASE ? FIFO_SIZE : length;
        if (position < 0
                || length < 0
                || length > most
                || position >= end
                || phase > RESULT_PHASE
                || senseAfterReset < 0
                || senseAfterReset > DRIVES_AT_RESET) {
            throw c.invalid("fdc: data_pos, data_len, phase or reset_sensei is out of range");
        }
    }

    /** The section is loaded. */
    void loaded() {
        irq.set((sra & SRA_PENDING) != 0);
    }
}
