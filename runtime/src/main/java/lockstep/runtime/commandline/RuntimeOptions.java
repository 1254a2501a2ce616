package lockstep.runtime.commandline;

import lockstep.api.RunState;
import lockstep.qmp.QmpException;
import lockstep.runtime.VmmProcess;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.spi.IncomingMigration;
import lockstep.runtime.spi.OptionException;
import lockstep.runtime.spi.StartPhase;

/** Registers the runtime's own options and the last step of a start. */
public final class RuntimeOptions {
    private RuntimeOptions() {}

    /** Registers the options that must come before those of the rooms. */
    public static void register(VmmProcess vmm, ProcessControl process) {
        new ProcessOptionSet(vmm, process).register();
        new MachineOptionSet(vmm).register();
        new ChannelOptionSet(vmm).register();
        vmm.option(
                SimpleOption.step(
                        StartPhase.SETTINGS,
                        none -> {
                            if (vmm.settings().incoming != null) {
                                vmm.run().set(RunState.INMIGRATE);
                            }
                            vmm.run().autostart(!vmm.settings().stopped);
                        }));
    }

    /** Registers the step that comes after everything of the rooms: the guest goes. */
    public static void registerLaunch(VmmProcess vmm) {
        vmm.option(SimpleOption.step(StartPhase.LAUNCH, none -> launch(vmm)));
    }

    private static void launch(VmmProcess vmm) throws OptionException {
        Machine machine = vmm.machine();
        if (machine != null) {
            machine.reset();
        }
        String incoming = vmm.settings().incoming;
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
