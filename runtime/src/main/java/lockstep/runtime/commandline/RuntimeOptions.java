package lockstep.runtime.commandline;

import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.process.Settings;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.spi.IncomingMigration;
import lockstep.runtime.spi.SavedMachines;

/** The runtime's own options, what they have said, and the last step of a start. Under the machine lock. */
public final class RuntimeOptions {
    private final GivenSettings settings = new GivenSettings();

    /** For one process. */
    public RuntimeOptions() {}

    /** What the options have said so far. */
    public Settings settings() {
        return settings;
    }

    /** Registers the options that must come before those of the rooms. */
    public void register(VmmProcess vmm, ProcessControl process) {
        new ProcessOptionSet(vmm, settings, process).register();
        new MachineOptionSet(vmm, settings).register();
        new ChannelOptionSet(vmm, settings).register();
        vmm.option(
                SimpleOption.step(
                        StartPhase.SETTINGS,
                        none -> {
                            if (settings.preconfig
                                    && settings.incoming != null
                                    && !settings.incoming.equals("defer")) {
                                throw new OptionException(
                                        "'preconfig' supports '-incoming defer' only", false);
                            }
                            if (settings.incoming != null) {
                                vmm.run().set(RunState.INMIGRATE);
                            }
                            vmm.run().autostart(!settings.stopped);
                        }));
    }

    /** Registers the step that comes after everything of the rooms: the guest goes. */
    public void registerLaunch(VmmProcess vmm) {
        vmm.option(SimpleOption.step(StartPhase.LAUNCH, none -> launch(vmm)));
    }

    private void launch(VmmProcess vmm) throws OptionException {
        Machine machine = vmm.machine();
        if (machine != null) {
            machine.reset();
        }
        if (settings.savedMachine != null) {
            try {
                vmm.service(SavedMachines.class).load(settings.savedMachine);
            } catch (QmpException e) {
                throw new OptionException(e.description(), false);
            }
        }
        String incoming = settings.incoming;
        if (incoming == null) {
            if (vmm.run().autostart()) {
                vmm.run().start();
            }
            return;
        }
        if (incoming.equals("defer")) {
            return;
        }
        IncomingMigration migration =
                vmm.find(IncomingMigration.class)
                        .orElseThrow(
                                () ->
                                        new OptionException(
                                                "-incoming "
                                                        + incoming
                                                        + ": this build has no migration",
                                                false));
        try {
            migration.listen(incoming);
        } catch (QmpException e) {
            throw new OptionException("-incoming " + incoming + ": " + e.description(), false);
        }
    }
}
