package lockstep.devices.hpet;

import lockstep.api.HpetOptions;
import lockstep.devices.aml.Aml;
import lockstep.devices.board.PcBoard;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Objects;

/** The timer block as the part {@code hpet}, at 0xfed00000. Used under the machine lock. */
public final class Hpet implements IoHandler, StateSection, Device {
    /** Where the registers are. */
    public static final long BASE = 0xfed0_0000L;

    private static final int SIZE = 0x400;
    private static final int MIN_TIMERS = 3;
    private static final int MAX_TIMERS = 32;

    /** The interrupt that comes through here, as legacy mode cuts it off. */
    private static final int RTC_IRQ = 8;

    /** Intel, revision 1, 64 bits, legacy mode; the number of the last timer comes at bit 8. */
    private static final int IDENTITY = 0x8086_a001;

    /** What is usual of I/O APIC inputs: 2 alone. */
    private static final long ROUTES = 0x4;

    /** The type. */
    public static final DeviceType<HpetOptions> TYPE =
            DeviceType.of(
                            "hpet",
                            HpetOptions::read,
                            HpetOptions::write,
                            HpetOptions.builder()
                                    .hpetIntcap(0L)
                                    .hpetOffsetSaved(true)
                                    .msi(false)
                                    .timers(MIN_TIMERS)
                                    .build(),
                            new DeviceType.Home("System", false, m -> "sysbus"),
                            Hpet::new)
                    .builtIn("timers");

    private final int blockId;
    private final HpetChip chip;

    private Hpet(DeviceRequest<HpetOptions> request, DeviceScope scope) {
        int asked = Objects.requireNonNullElse(request.options().timers(), MIN_TIMERS);
        int count = Math.clamp(asked, MIN_TIMERS, MAX_TIMERS);
        blockId = IDENTITY | count - 1 << 8;
        PcBoard board = PcBoard.of(scope);
        chip = new HpetChip(new Wires(scope, board, count), blockId, count, ROUTES);
        board.isa().intercept(RTC_IRQ, chip.rtcInput(), scope);
        scope.own(scope.machine().memory().mapIo("hpet", BASE, SIZE, 0, this));
        scope.onReset(chip::reset);
        scope.section(this);
        byte[] terms =
                Aml.device(
                        "HPET",
                        Aml.name("_HID", Aml.eisaId("PNP0103")),
                        Aml.name("_UID", Aml.integer(0)),
                        Aml.name("_STA", Aml.integer(0x0f)),
                        Aml.name("_CRS", Aml.resources(Aml.fixedMemory(BASE, SIZE))));
        board.acpi().addSystem(terms, scope);
    }

    private final class Wires implements HpetChip.Board {
        private final Machine machine;
        private final PcBoard board;
        private final Timer[] alarms;

        Wires(DeviceScope scope, PcBoard board, int count) {
            this.machine = scope.machine();
            this.board = board;
            alarms = new Timer[count];
            for (int i = 0; i < count; i++) {
                int n = i;
                alarms[i] = scope.timer(ClockType.VIRTUAL, () -> chip.expired(n));
            }
        }

        @Override
        public long now() {
            return machine.clocks().virtual();
        }

        @Override
        public Irq input(int n) {
            return machine.gsi(n);
        }

        @Override
        public void legacyMode(boolean on) {
            board.core().intervalTimer().replaced(on);
        }

        @Override
        public void alarm(int timer, long deadline) {
            alarms[timer].arm(deadline);
        }
    }

    /** The low half of the capability register, which is also the ACPI table's block id. */
    public int blockId() {
        return blockId;
    }

    @Override
    public int minAccess() {
        return 4;
    }

    @Override
    public long read(long address, int size) {
        return chip.read((int) address);
    }

    @Override
    public void write(long address, int size, long value) {
        chip.write((int) address, value);
    }

    @Override
    public String name() {
        return "hpet";
    }

    @Override
    public int version() {
        return 2;
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
