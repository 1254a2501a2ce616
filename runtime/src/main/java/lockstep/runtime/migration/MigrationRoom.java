package lockstep.runtime.migration;

import lockstep.api.MigrationCommands;
import lockstep.api.RunState;
import lockstep.runtime.spi.IncomingMigration;
import lockstep.runtime.spi.MachineState;
import lockstep.runtime.spi.MigrationState;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

import java.util.List;
import java.util.stream.Collectors;

/** Puts migration into a process: its section, service, QMP and HMP commands. */
public final class MigrationRoom implements Room {
    /** Made by the service loader. */
    public MigrationRoom() {}

    @Override
    public int order() {
        return 5;
    }

    @Override
    public void install(Registration offer, Vmm vmm) {
        MigrationSettings settings = new MigrationSettings();
        GlobalState globalState =
                new GlobalState(
                        RunState.known().stream()
                                .map(RunState::wireName)
                                .collect(Collectors.toUnmodifiableSet()));
        vmm.state().register(globalState);
        MigrationHost host = new VmmMigrationHost(vmm, settings);
        MigrationService service =
                new MigrationService(
                        host,
                        settings,
                        globalState,
                        () -> vmm.state().blockers(),
                        () -> vmm.find(ColoHandler.class).orElse(null));
        vmm.publish(
                MachineState.class,
                new MachineKeeper(
                        host,
                        globalState,
                        () ->
                                service.busy()
                                        ? List.of(MigrationService.BUSY)
                                        : vmm.state().blockers()));
        vmm.publish(MigrationService.class, service);
        vmm.publish(IncomingMigration.class, service);
        MigrationCommands.register(offer.commands(), service);
        vmm.publish(MigrationState.class, service);
        new MigrationMonitor(service).register(vmm.hmp());
    }
}
