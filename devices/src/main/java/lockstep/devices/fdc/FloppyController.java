package lockstep.devices.fdc;

import static lockstep.devices.aml.Aml.isaDma;
import static lockstep.devices.aml.Aml.isaIrq;
import static lockstep.devices.aml.Aml.ports;

import lockstep.api.FdcDriveType;
import lockstep.api.IsaFdcOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Arrays;
import java.util.List;

/** The controller at ports 0x3f1 to 0x3f5 and 0x3f7. QEMU: vmstate "fdc" v2. Under the machine lock. */
public final class FloppyController implements IoHandler, StateSection, Device {
    private static final int BASE = 0x3f0;
    private static final int IRQ = 6;
    private static final int DMA = 2;

    /** The type. */
    public static final DeviceType<IsaFdcOptions> TYPE =
            DeviceType.of(
                            "isa-fdc",
                            IsaFdcOptions::read,
                            IsaFdcOptions::write,
                            IsaFdcOptions.builder()
                                    .dma((long) DMA)
                                    .fallback(FdcDriveType._288)
                                    .fdtypeA(FdcDriveType.AUTO)
                                    .fdtypeB(FdcDriveType.AUTO)
                                    .iobase((long) BASE)
                                    .irq((long) IRQ)
                                    .build(),
                            IsaBus.HOME,
                            (request, scope) -> new FloppyController(scope))
                    .builtIn();

    private static final int SRA_PENDING = 0x80;
    private static final int SRA_DEFAULT = 0x40;
    private static final int SRB_DEFAULT = 0xc0;
    private static final int DOR_NOT_RESET = 0x04;
    private static final int DOR_DMA = 0x08;
    private static final int MSR_READY = 0x80;
    private static final int MSR_TO_HOST = 0x40;
    private static final int MSR_BUSY = 0x10;
    private static final int DSR_RESET = 0x80;
    private static final int DIR_CHANGED = 0x80;
    private static final int CONFIG_DEFAULT = 0x60;

    private static final int ST0_SEEK_END = 0x20;
    private static final int ST0_ABNORMAL = 0x40;
    private static final int ST0_INVALID = 0x80;
    private static final int ST0_READY_CHANGED = 0xc0;

    /** Two sides, ready, and protected as long as there is no disk. */
    private static final int ST3_ALWAYS = 0x68;

    private static final int ST1_NO_ADDRESS_MARK = 0x01;

    /** How many ready-change reports a reset leaves behind: one per possible drive. */
    private static final int DRIVES_AT_RESET = 4;

    private static final int FIFO = 512;
    private static final int DRIVES = 2;

    // Wiring.
    private final Irq irq;
    private final Timer result;

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
    private final byte[] fifo = new byte[FIFO];
    private int position;
    private int length;
    private int dataState;
    private int dataDirection;
    private int eot;
    private int timer0;
    private int timer1;
    private int precompensation;
    private int config;
    private int lock;
    private int powerDown;
    private int senseAfterReset;
    private final Drive[] drives = {new Drive(), new Drive()};

    private static final class Drive {
        int head;
        int track;
        int sector;
        int rate;
        int perpendicular;
    }

    private FloppyController(DeviceScope scope) {
        PcBoard board = PcBoard.of(scope);
        irq = board.isa().irq(IRQ);
        result = scope.timer(ClockType.VIRTUAL, this::emptyDrive);
        scope.ports("fdc", BASE + 1, 5, this);
        scope.ports("fdc", BASE + 7, 1, shifted(6));
        scope.onReset(
                () -> {
                    dor = DOR_NOT_RESET | DOR_DMA;
                    lock = 0;
                    reset(false);
                });
        scope.section(this);
        byte[] terms =
                IsaBus.aml(
                        "FDC0",
                        "PNP0700",
                        ports(BASE + 2, BASE + 2, 0, 4),
                        ports(BASE + 7, BASE + 7, 0, 1),
                        isaIrq(IRQ),
                        isaDma(DMA));
        board.acpi().addIsa(terms, scope);
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(
                QomProperty.of("bootindexA", "int32", () -> -1L),
                QomProperty.of("bootindexB", "int32", () -> -1L));
    }

    @Override
    public List<Bus> buses() {
        return List.of(new Bus(FloppyDrive.BUS, FloppyDrive.BUS_TYPE));
    }

    private IoHandler shifted(int by) {
        return new IoHandler() {
            @Override
            public int maxAccess() {
                return 1;
            }

            @Override
            public long read(long offset, int size) {
                return FloppyController.this.read(offset + by, size);
            }

            @Override
            public void write(long offset, int size, long value) {
                FloppyController.this.write(offset + by, size, value);
            }
        };
    }

    private void reset(boolean interrupt) {
        result.cancel();
        lowerIrq();
        sra = SRA_DEFAULT;
        srb = SRB_DEFAULT;
        dsr = 0;
        tdr = 0;
        msr = 0;
        status0 = 0;
        status1 = 0;
        status2 = 0;
        if (lock == 0) {
            config = CONFIG_DEFAULT;
            timer0 = 0;
            timer1 = 0;
            precompensation = 0;
        }
        dataState = 0;
        dataDirection = 0;
        eot = 0;
        powerDown = 0;
        for (Drive d : drives) {
            d.head = 0;
            d.track = 0;
            d.sector = 1;
        }
        drives[1].sector = 0;
        idle();
        if (interrupt) {
            raise(ST0_READY_CHANGED);
            senseAfterReset = DRIVES_AT_RESET;
        } else {
            senseAfterReset = 0;
        }
    }

    private void idle() {
        msr = MSR_READY;
        position = 0;
        length = 1;
    }

    private void raise(int status) {
        status0 = status;
        if ((sra & SRA_PENDING) == 0) {
            sra |= SRA_PENDING;
            irq.set(true);
        }
        senseAfterReset = 0;
    }

    private void lowerIrq() {
        sra &= ~SRA_PENDING;
        irq.set(false);
    }

    private Drive selected() {
        return drives[dor & 1];
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        return switch ((int) offset + 1) {
            case 1 -> srb;
            case 2 -> dor;
            case 3 -> tdr;
            case 4 -> {
                dsr &= ~0x40;
                dor |= DOR_NOT_RESET;
                yield msr;
            }
            case 5 -> readData();
            // Without a medium the change line stays active.
            case 7 -> DIR_CHANGED;
            default -> 0xff;
        };
    }

    @Override
    public void write(long offset, int size, long value) {
        int v = (int) value & 0xff;
        switch ((int) offset + 1) {
            case 2 -> writeDor(v);
            case 3 -> tdr = v & 0xc3;
            case 4 -> {
                if ((dor & DOR_NOT_RESET) == 0) {
                    return;
                }
                if ((v & DSR_RESET) != 0) {
                    reset(true);
                }
                dsr = v & ~DSR_RESET;
            }
            case 5 -> writeData(v);
            case 7 -> {
                if ((dor & DOR_NOT_RESET) != 0) {
                    dsr = dsr & ~3 | v & 3;
                }
            }
            default -> {
                // SRA and SRB are read only.
            }
        }
    }

    private void writeDor(int v) {
        srb = srb & 0xc0 | (v >> 4 & 3) | (v & 1) << 5;
        if ((v & DOR_NOT_RESET) == 0) {
            if ((dor & DOR_NOT_RESET) != 0) {
                lowerIrq();
            }
            dor = v;
            return;
        }
        boolean leaving = (dor & DOR_NOT_RESET) == 0;
        dor = v;
        if (leaving) {
            reset(true);
            dsr &= ~DSR_RESET;
        }
    }

    private int readData() {
        msr &= ~0x0f;
        if ((msr & (MSR_READY | MSR_TO_HOST)) != (MSR_READY | MSR_TO_HOST)) {
            return 0;
        }
        int value = fifo[position] & 0xff;
        if (++position >= length) {
            lowerIrq();
            idle();
        }
        return value;
    }

    /** A command byte without the option bits that the data sheets allow it; MFM, MT, SK, LOCK. */
    private static int operation(int command) {
        int options =
                switch (command & 0x1f) {
                    case 0x05, 0x06, 0x0c, 0x11, 0x16, 0x19, 0x1d -> 0xe0;
                    case 0x09 -> 0xc0;
                    case 0x02, 0x0a, 0x0d -> 0x40;
                    case 0x14 -> 0x80;
                    default -> 0;
                };
        return command & ~options;
    }

    /** Parameter bytes that follow a command byte: 82078 section 5.1. */
    private static int parameters(int command) {
        return switch (operation(command)) {
            case 0x02, 0x05, 0x06, 0x09, 0x0c, 0x11, 0x16, 0x19, 0x1d -> 8;
            case 0x03, 0x0f, 0x17, 0x8f, 0xcf -> 2;
            case 0x04, 0x07, 0x0a, 0x12, 0x33 -> 1;
            case 0x0d, 0x8e -> 5;
            case 0x13 -> 3;
            case 0x4e -> 17;
            default -> 0;
        };
    }

    private void writeData(int v) {
        if ((dor & DOR_NOT_RESET) == 0 || (msr & MSR_READY) == 0 || (msr & MSR_TO_HOST) != 0) {
            return;
        }
        dsr &= ~0x40;
        if (position == 0) {
            length = parameters(v) + 1;
            msr |= MSR_BUSY;
        }
        fifo[position++] = (byte) v;
        if (position == length) {
            execute(fifo[0] & 0xff);
        } else if (position == FIFO) {
            // Only a stream that stopped inside a transfer leads here.
            idle();
        }
    }

    private void execute(int command) {
        switch (operation(command)) {
            case 0x02, 0x05, 0x06, 0x09, 0x0a, 0x0c, 0x0d, 0x11, 0x16, 0x19, 0x1d -> {
                dor = dor & ~1 | fifo[1] & 1;
                emptyDrive();
            }
            case 0x03 -> {
                timer0 = fifo[1] >> 4 & 0x0f;
                timer1 = fifo[2] >> 1 & 0x7f;
                idle();
            }
            case 0x04 -> {
                dor = dor & ~1 | fifo[1] & 1;
                Drive d = selected();
                d.head = fifo[1] >> 2 & 1;
                reply((d.track == 0 ? 0x10 : 0) | d.head << 2 | dor & 1 | ST3_ALWAYS);
            }
            case 0x07 -> {
                dor = dor & ~1 | fifo[1] & 1;
                selected().track = 0;
                seekEnd();
            }
            case 0x08 -> senseInterrupt();
            case 0x0e -> dumpRegisters();
            case 0x0f, 0x8f, 0xcf -> {
                dor = dor & ~1 | fifo[1] & 1;
                Drive d = selected();
                d.head = fifo[1] >> 2 & 1;
                // The present cylinder number counts the steps, whatever the head finds there.
                int steps = fifo[2] & 0xff;
                d.track =
                        switch (command) {
                            case 0x8f -> Math.max(d.track - steps, 0);
                            case 0xcf -> Math.min(d.track + steps, 0xff);
                            default -> steps;
                        };
                seekEnd();
            }
            case 0x10 -> reply(0x90);
            case 0x12 -> {
                if ((fifo[1] & 0x80) != 0) {
                    selected().perpendicular = fifo[1] & 7;
                }
                idle();
            }
            case 0x13 -> {
                config = fifo[2] & 0xff;
                precompensation = fifo[3] & 0xff;
                idle();
            }
            case 0x14 -> {
                lock = (command & 0x80) != 0 ? 1 : 0;
                reply(lock << 4);
            }
            case 0x17 -> {
                powerDown = fifo[1] & 0xff;
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
        raise(ST0_SEEK_END | dor & 1);
    }

    /** What any transfer on an empty drive comes to: no address mark was found. */
    private void emptyDrive() {
        Drive d = selected();
        status1 = ST1_NO_ADDRESS_MARK;
        status2 = 0;
        raise(ST0_ABNORMAL | ST0_SEEK_END | d.head << 2 | dor & 1);
        reply(status0, status1, status2, d.track, d.head, d.sector, 2);
    }

    private void senseInterrupt() {
        if (senseAfterReset > 0) {
            int drive = DRIVES_AT_RESET - senseAfterReset;
            senseAfterReset--;
            int left = senseAfterReset;
            reply(ST0_READY_CHANGED | drive, selected().track);
            lowerIrq();
            senseAfterReset = left;
        } else if ((sra & SRA_PENDING) == 0) {
            reply(ST0_INVALID);
        } else {
            reply(status0 & ~7 | selected().head << 2 | dor & 1, selected().track);
            lowerIrq();
            status0 = ST0_READY_CHANGED;
        }
    }

    private void dumpRegisters() {
        Drive d = selected();
        reply(
                drives[0].track,
                drives[1].track,
                0,
                0,
                timer0,
                timer1 << 1 | (dor & DOR_DMA) >> 3,
                d.sector,
                lock << 7 | d.perpendicular << 2,
                config,
                precompensation);
    }

    private void saveRegisters() {
        reply(
                0,
                0,
                drives[0].track,
                drives[1].track,
                0,
                0,
                timer0,
                timer1,
                selected().sector,
                lock << 7 | selected().perpendicular << 2,
                config,
                precompensation,
                powerDown,
                0,
                0);
    }

    /** Takes what {@link #saveRegisters} gave; its fifteen bytes follow two of which nothing is kept. */
    private void restoreRegisters() {
        drives[0].track = fifo[3] & 0xff;
        drives[1].track = fifo[4] & 0xff;
        timer0 = fifo[7] & 0x0f;
        timer1 = fifo[8] & 0x7f;
        selected().sector = fifo[9] & 0xff;
        lock = fifo[10] >> 7 & 1;
        selected().perpendicular = fifo[10] >> 2 & 0x0f;
        config = fifo[11] & 0xff;
        precompensation = fifo[12] & 0xff;
        powerDown = fifo[13] & 0xff;
        idle();
    }

    private void reply(int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            fifo[i] = (byte) bytes[i];
        }
        position = 0;
        length = bytes.length;
        msr = MSR_READY | MSR_TO_HOST | MSR_BUSY;
    }

    @Override
    public String name() {
        return "fdc";
    }

    @Override
    public int version() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.struct("state", "fdc", 2, this::describeController);
    }

    private void describeController(StateCodec c) throws StateException {
        if (c.loading()) {
            result.cancel();
            senseAfterReset = 0;
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
        dataDirection = c.u8("data_dir", dataDirection);
        eot = c.u8("eot", eot);
        timer0 = c.u8("timer0", timer0);
        timer1 = c.u8("timer1", timer1);
        precompensation = c.u8("precomp_trk", precompensation);
        config = c.u8("config", config);
        lock = c.u8("lock", lock);
        powerDown = c.u8("pwrd", powerDown);
        c.equalU8("num_floppies", DRIVES);
        c.structs("drives", "fdrive", 1, DRIVES, (s, i) -> describeDrive(s, drives[i]));
        c.subsection(
                "fdc/reset_sensei",
                1,
                senseAfterReset != 0,
                s -> senseAfterReset = s.i32("reset_sensei", senseAfterReset));
        c.subsection(
                "fdc/result_timer",
                1,
                result.armed(),
                s -> result.arm(s.timer("result_timer", result.deadline())));
        c.subsection("fdc/phase", 1, false, s -> s.u8("phase", 1));
        if (c.loading()) {
            if (Integer.compareUnsigned(position, FIFO) >= 0
                    || Integer.compareUnsigned(length, FIFO) > 0
                    || senseAfterReset < 0
                    || senseAfterReset > DRIVES_AT_RESET) {
                throw c.invalid("fdc: data_pos, data_len or reset_sensei is out of range");
            }
        }
    }

    private static void describeDrive(StateCodec c, Drive d) throws StateException {
        d.head = c.u8("head", d.head) & 1;
        d.track = c.u8("track", d.track);
        d.sector = c.u8("sect", d.sector);
        if (c.loading()) {
            d.perpendicular = 0;
        }
        c.subsection("fdrive/media_changed", 1, false, s -> s.u8("media_changed", 1));
        c.subsection("fdrive/media_rate", 1, true, s -> d.rate = s.u8("media_rate", d.rate));
        c.subsection(
                "fdrive/perpendicular",
                1,
                d.perpendicular != 0,
                s -> d.perpendicular = s.u8("perpendicular", d.perpendicular) & 7);
    }

    @Override
    public void afterLoad(int version) {
        irq.set((sra & SRA_PENDING) != 0);
    }
}
