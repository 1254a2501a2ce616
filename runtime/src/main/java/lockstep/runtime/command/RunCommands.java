package lockstep.runtime.command;

import lockstep.api.CommandInfo;
import lockstep.api.ControlCommands;
import lockstep.api.QmpCapabilitiesArguments;
import lockstep.api.RunState;
import lockstep.api.RunStateCommands;
import lockstep.api.SetActionArguments;
import lockstep.api.ShutdownCause;
import lockstep.api.StatusInfo;
import lockstep.api.VersionInfo;
import lockstep.api.VersionTriple;
import lockstep.api.WatchdogSetActionArguments;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.monitor.Version;
import lockstep.runtime.process.VmmProcess;

import java.util.List;

/** control.json and run-state.json. */
final class RunCommands implements ControlCommands, RunStateCommands {
    private final VmmProcess vmm;

    RunCommands(VmmProcess vmm) {
        this.vmm = vmm;
    }

    @Override
    public void qmpCapabilities(QmpCapabilitiesArguments arguments) throws QmpException {
        throw new QmpException(
                ErrorClass.COMMAND_NOT_FOUND,
                "Capabilities negotiation is already complete, command ignored");
    }

    @Override
    public VersionInfo queryVersion() {
        return new VersionInfo(
                new VersionTriple(Version.MAJOR, Version.MINOR, Version.MICRO), Version.PACKAGE);
    }

    @Override
    public List<CommandInfo> queryCommands() {
        return vmm.commands().names().stream().map(CommandInfo::new).toList();
    }

    @Override
    public void quit() {
        vmm.run().requestShutdown(ShutdownCause.HOST_QMP_QUIT);
    }

    @Override
    public StatusInfo queryStatus() {
        return new StatusInfo(vmm.run().running(), vmm.run().state());
    }

    @Override
    public void stop() {
        RunControl run = vmm.run();
        if (run.state() == RunState.INMIGRATE) {
            run.autostart(false);
        } else if (run.running() || run.state() == RunState.SUSPENDED) {
            run.stop(RunState.PAUSED);
        }
    }

    @Override
    public void cont() throws QmpException {
        vmm.run().resume();
    }

    @Override
    public void systemReset() {
        vmm.run().requestReset(ShutdownCause.HOST_QMP_SYSTEM_RESET);
    }

    @Override
    public void systemPowerdown() {
        vmm.run().pressPowerButton();
    }

    @Override
    public void setAction(SetActionArguments arguments) {
        vmm.run().act(arguments);
    }

    @Override
    public void watchdogSetAction(WatchdogSetActionArguments arguments) {}

    @Override
    public void systemWakeup() throws QmpException {
        if (!vmm.run().canSleep()) {
            throw new QmpException("wake-up from suspend is not supported by this guest");
        }
        if (vmm.run().state() != RunState.SUSPENDED) {
            throw new QmpException("Unable to wake up: guest is not in suspended state");
        }
        vmm.run().requestWakeUp(Sleep.Reason.OTHER);
    }
}
