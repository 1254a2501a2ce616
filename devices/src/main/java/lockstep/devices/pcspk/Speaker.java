package lockstep.devices.pcspk;

import lockstep.api.PcspkOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.List;

/** Port 0x61. QEMU: vmstate "pcspk" v1. Used under the machine lock. */
public final class Speaker implements IoHandler, StateSection, Device {
    private static final int BASE = 0x61;

    /** The type. */
    public static final DeviceType<PcspkOptions> TYPE =
            DeviceType.of(
                            "isa-pcspk",
                            PcspkOptions::read,
                            PcspkOptions::write,
                            PcspkOptions.builder().iobase((long) BASE).migrate(true).build(),
                            IsaBus.HOME,
                            Speaker::new)
                    .builtIn("migrate");

    /** The channel of the interval timer that makes the tone. */
    private static final int CHANNEL = 2;

    private static final int GATE = 0x01;
    private static final int DATA = 0x02;

    private final PcBoard board;
    private final IntervalTimer timer;
    private final boolean migrates;
    private int data;
    private int refresh;

    private Speaker(DeviceRequest<PcspkOptions> request, DeviceScope scope) {
        board = PcBoard.of(scope);
        timer = board.core().intervalTimer();
        migrates = !Boolean.FALSE.equals(request.options().migrate());
        scope.ports("pcspk", BASE, 1, this);
        scope.onReset(() -> data = 0);
        scope.section(this);
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(
                QomProperty.of(
                        "pit",
                        "link<pit-common>",
                        () -> board.pathOf(board.core().chipNames().timer())));
    }

    @Override
    public long read(long offset, int size) {
        // Software measures time by the refresh bit's toggling, however coarsely.
        refresh ^= 1;
        return (timer.gate(CHANNEL) ? GATE : 0)
                | data << 1
                | refresh << 4
                | (timer.output(CHANNEL) ? 0x20 : 0);
    }

    @Override
    public void write(long offset, int size, long value) {
        data = (value & DATA) != 0 ? 1 : 0;
        timer.gate(CHANNEL, (value & GATE) != 0);
    }

    @Override
    public String name() {
        return "pcspk";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public boolean needed() {
        return migrates;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        data = c.u8("data_on", data) & 1;
        refresh = c.u8("dummy_refresh_clock", refresh) & 1;
    }
}
