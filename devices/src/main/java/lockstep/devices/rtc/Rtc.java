package lockstep.devices.rtc;

import static lockstep.devices.aml.Aml.isaIrq;
import static lockstep.devices.aml.Aml.ports;

import lockstep.api.LostTickPolicy;
import lockstep.api.Mc146818rtcOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;

/** The clock as the part {@code mc146818rtc}, at ports 0x70 and 0x71. Used under the machine lock. */
public final class Rtc implements IoHandler, StateSection, Device {
    private static final int BASE = 0x70;
    private static final int IRQ = 8;

    /** The cell in which the PC's firmware looks for what to do after a reset, and its code for ACPI S3. */
    private static final int RESET_CODE = 0x0f;

    private static final int RESET_WAKES = 0xfe;

    /** The type. */
    public static final DeviceType<Mc146818rtcOptions> TYPE =
            DeviceType.of(
                            "mc146818rtc",
                            Mc146818rtcOptions::read,
                            Mc146818rtcOptions::write,
                            Mc146818rtcOptions.builder()
                                    .baseYear(1980)
                                    .iobase(BASE)
                                    .irq(IRQ)
                                    .lostTickPolicy(LostTickPolicy.DISCARD)
                                    .build(),
                            IsaBus.HOME,
                            Rtc::new)
                    .builtIn("lost_tick_policy")
                    .checked(Rtc::check);

    private final RtcChip chip;

    private Rtc(DeviceRequest<Mc146818rtcOptions> request, DeviceScope scope)
            throws DeviceException {
        PcBoard board = PcBoard.of(scope);
        Map<String, String> told = board.config().rtc();
        Clocks clocks = scope.machine().clocks();
        chip =
                new RtcChip(
                        new Wires(scope, board, clock(told)),
                        start(told, Math.floorDiv(clocks.now(ClockType.HOST), 1_000_000_000L)),
                        request.options().lostTickPolicy() == LostTickPolicy.SLEW);
        scope.ports("rtc", BASE, 2, this);
        scope.onReset(chip::reset);
        scope.section(this);
        board.acpi()
                .addIsa(IsaBus.aml("RTC", "PNP0B00", ports(BASE, BASE, 1, 8), isaIrq(IRQ)), scope);
    }

    /** As the sentence of the type that takes it says, there are two policies for this clock. */
    private static void check(Mc146818rtcOptions given) throws DeviceException {
        LostTickPolicy policy = given.lostTickPolicy();
        if (policy != null && policy != LostTickPolicy.DISCARD && policy != LostTickPolicy.SLEW) {
            throw new DeviceException("Invalid lost tick policy.");
        }
    }

    private static ClockType clock(Map<String, String> told) throws DeviceException {
        String clock = told.getOrDefault("clock", "host");
        return switch (clock) {
            case "host" -> ClockType.HOST;
            case "rt" -> ClockType.REALTIME;
            case "vm" -> ClockType.VIRTUAL;
            default -> throw new DeviceException("invalid option value '" + clock + "'");
        };
    }

    private static long start(Map<String, String> told, long now) throws DeviceException {
        String base = told.getOrDefault("base", "utc");
        return switch (base) {
            case "utc" -> now;
            case "localtime" ->
                    now
                            + ZoneId.systemDefault()
                                    .getRules()
                                    .getOffset(Instant.ofEpochSecond(now))
                                    .getTotalSeconds();
            default -> parseDate(base);
        };
    }

    private static long parseDate(String text) throws DeviceException {
        try {
            String full = text.contains("T") ? text : text + "T00:00:00";
            return LocalDateTime.parse(full).toEpochSecond(ZoneOffset.UTC);
        } catch (DateTimeException e) {
            throw new DeviceException("invalid datetime format", e);
        }
    }

    private final class Wires implements RtcChip.Board {
        private final Clocks clocks;
        private final ClockType clock;
        private final Irq irq;
        private final PcBoard board;
        private final Timer periodic;
        private final Timer update;

        Wires(DeviceScope scope, PcBoard board, ClockType clock) {
            this.clocks = scope.machine().clocks();
            this.clock = clock;
            this.board = board;
            irq = board.isa().irq(IRQ);
            periodic = scope.timer(clock, () -> chip.periodicTick());
            update = scope.timer(clock, () -> chip.updateTick());
        }

        @Override
        public long now() {
            return clocks.now(clock);
        }

        @Override
        public void interrupt(boolean level) {
            irq.set(level);
        }

        @Override
        public void tickAt(long deadline) {
            periodic.arm(deadline);
        }

        @Override
        public void updateAt(long deadline) {
            update.arm(deadline);
        }

        @Override
        public void alarm() {
            board.wakeUp(Sleep.Reason.ALARM);
        }
    }

    /** Its date and time as C has them: years from 1900, months from 0. */
    public Map<String, Object> date() {
        LocalDateTime now = LocalDateTime.ofEpochSecond(chip.seconds(), 0, ZoneOffset.UTC);
        return Map.of(
                "tm_year", now.getYear() - 1900,
                "tm_mon", now.getMonthValue() - 1,
                "tm_mday", now.getDayOfMonth(),
                "tm_hour", now.getHour(),
                "tm_min", now.getMinute(),
                "tm_sec", now.getSecond());
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(QomProperty.of("date", "struct tm", this::date));
    }

    /** Sets a CMOS cell that firmware reads. */
    public void cmos(int cell, int value) {
        chip.cell(cell, value);
    }

    /** Notes for the firmware that the next reset is the end of a sleep. */
    public void sleeps() {
        cmos(RESET_CODE, RESET_WAKES);
    }

    /** A CMOS cell. */
    public int cmos(int cell) {
        return chip.cell(cell);
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long port, int size) {
        return port == 0 ? 0xff : chip.read();
    }

    @Override
    public void write(long port, int size, long value) {
        if (port == 0) {
            chip.select((int) value);
        } else {
            chip.write((int) value & 0xff);
        }
    }

    @Override
    public String name() {
        return "mc146818rtc";
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public void beforeSave() {
        chip.beforeSave();
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        chip.describe(c);
    }

    @Override
    public void afterLoad(int version) {
        chip.loaded();
    }
}
