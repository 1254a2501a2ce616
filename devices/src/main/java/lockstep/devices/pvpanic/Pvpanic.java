package lockstep.devices.pvpanic;

import lockstep.api.PvpanicOptions;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import java.util.Objects;

/** The device {@code pvpanic}. Used under the machine lock. */
public final class Pvpanic implements IoHandler, Device {
    private static final int PANICKED = 1;
    private static final int CRASH_LOADED = 2;
    private static final int SHUTDOWN = 4;
    private static final int PORT = 0x505;

    /** The type. */
    public static final DeviceType<PvpanicOptions> TYPE =
            DeviceType.of(
                    "pvpanic",
                    PvpanicOptions::read,
                    PvpanicOptions::write,
                    PvpanicOptions.builder()
                            .ioport(PORT)
                            .events(PANICKED | CRASH_LOADED | SHUTDOWN)
                            .build(),
                    IsaBus.HOME,
                    Pvpanic::new);

    private final RunControl run;
    private final int events;

    private Pvpanic(DeviceRequest<PvpanicOptions> request, DeviceScope scope) {
        PvpanicOptions o = request.options();
        run = scope.machine().service(RunControl.class);
        events = Objects.requireNonNullElse(o.events(), 0);
        scope.ports("pvpanic", Objects.requireNonNullElse(o.ioport(), PORT), 1, this);
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        return events;
    }

    @Override
    public void write(long offset, int size, long value) {
        if ((value & PANICKED) != 0) {
            run.guestPanicked();
        } else if ((value & CRASH_LOADED) != 0) {
            run.guestRunsCrashKernel();
        } else if ((value & SHUTDOWN) != 0) {
            run.guestPowersOff();
        }
    }
}
