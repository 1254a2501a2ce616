package lockstep.runtime.process;

import lockstep.api.GuestCrashloadedEvent;
import lockstep.api.GuestPanicAction;
import lockstep.api.GuestPanickedEvent;
import lockstep.api.GuestPvshutdownEvent;
import lockstep.api.PanicAction;
import lockstep.api.PowerdownEvent;
import lockstep.api.RebootAction;
import lockstep.api.ResetEvent;
import lockstep.api.ResumeEvent;
import lockstep.api.RunState;
import lockstep.api.SetActionArguments;
import lockstep.api.ShutdownAction;
import lockstep.api.ShutdownCause;
import lockstep.api.ShutdownEvent;
import lockstep.api.StopEvent;
import lockstep.api.SuspendEvent;
import lockstep.api.WakeupEvent;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.RunListener;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.spi.Vmm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The run control of one process. */
public final class RunController implements RunControl {
    /** How long what the guest began may take to end when it stops, if nobody says how long. */
    private static final long STOP_PATIENCE = TimeUnit.SECONDS.toNanos(10);

    private record Entry(int priority, RunListener listener) {}

    private final Vmm vmm;
    private final VmClocks clocks;
    private final Runnable exit;
    private final List<Entry> listeners = new ArrayList<>();
    private final List<StartCheck> checks = new ArrayList<>();
    private final List<Runnable> buttons = new ArrayList<>();
    private final List<Sleep> sleepers = new ArrayList<>();
    private volatile RunState state = RunState.PRELAUNCH;
    private boolean autostart = true;
    private boolean stayAfterShutdown;
    private boolean resetEnds;

    /** A guest that was stopped in its sleep. */
    private boolean asleep;

    private PanicAction panicAction = PanicAction.SHUTDOWN;
    private volatile boolean ending;

    /** Over the process; {@code exit} ends its main loop. */
    public RunController(Vmm vmm, VmClocks clocks, Runnable exit) {
        this.vmm = vmm;
        this.clocks = clocks;
        this.exit = exit;
    }

    /** {@code -no-shutdown}: a guest that powers off only stops. */
    public void stayAfterShutdown(boolean stay) {
        stayAfterShutdown = stay;
    }

    /** {@code -no-reboot}: a guest that resets ends the process. */
    public void resetEnds(boolean ends) {
        resetEnds = ends;
    }

    @Override
    public RunState state() {
        return state;
    }

    @Override
    public boolean running() {
        return state == RunState.RUNNING;
    }

    @Override
    public void stop(RunState next) {
        stop(next, STOP_PATIENCE);
    }

    @Override
    public boolean stop(RunState next, long patience) {
        boolean ran = running();
        boolean slept = state == RunState.SUSPENDED;
        state = next;
        if (!ran && !slept) {
            return true;
        }
        asleep = slept;
        if (ran) {
            standStill();
        }
        long end = System.nanoTime() + patience;
        boolean settled = true;
        for (Entry e : List.copyOf(listeners).reversed()) {
            settled &= e.listener().stopped(next, end - System.nanoTime());
        }
        vmm.emit(new StopEvent());
        return settled;
    }

    private void standStill() {
        clocks.stopVirtual();
        Machine machine = vmm.machine();
        if (machine != null) {
            machine.vcpus().pauseAll();
        }
    }

    @Override
    public void start() {
        if (running() || ending) {
            return;
        }
        vmm.emit(new ResumeEvent());
        if (asleep) {
            asleep = false;
            state = RunState.SUSPENDED;
            for (Entry e : List.copyOf(listeners)) {
                e.listener().changed(true, RunState.SUSPENDED);
            }
            return;
        }
        clocks.startVirtual();
        state = RunState.RUNNING;
        for (Entry e : List.copyOf(listeners)) {
            e.listener().changed(true, RunState.RUNNING);
        }
        Machine machine = vmm.machine();
        if (machine != null && running()) {
            machine.vcpus().resumeAll();
        }
    }

    @Override
    public void set(RunState next) {
        if (running() || next == RunState.RUNNING) {
            throw new IllegalStateException(
                    "from " + state.wireName() + " to " + next.wireName() + " needs start or stop");
        }
        state = next;
    }

    @Override
    public void addListener(int priority, RunListener listener) {
        listeners.add(new Entry(priority, listener));
        listeners.sort(Comparator.comparingInt(Entry::priority));
    }

    @Override
    public void removeListener(RunListener listener) {
        listeners.removeIf(e -> e.listener() == listener);
    }

    @Override
    public void addStartCheck(StartCheck check) {
        checks.add(check);
    }

    @Override
    public void resume() throws QmpException {
        switch (state) {
            case INTERNAL_ERROR, SHUTDOWN, GUEST_PANICKED ->
                    throw new QmpException("Resetting the Virtual Machine is required");
            case FINISH_MIGRATE -> throw new QmpException("Migration is not finalized yet");
            case SUSPENDED -> {
                return;
            }
            default -> {}
        }
        for (StartCheck check : checks) {
            check.check();
        }
        if (state == RunState.INMIGRATE) {
            autostart = true;
        } else {
            start();
        }
    }

    private void onLoop(Runnable task) {
        if (vmm.mainLoop().inLoop() && vmm.lock().held()) {
            task.run();
        } else {
            vmm.mainLoop().execute(task);
        }
    }

    @Override
    public void requestReset(ShutdownCause cause) {
        stopCaller();
        vmm.mainLoop().execute(() -> reset(cause));
    }

    /** A vCPU whose access asked for it does not run on until it is done. */
    private void stopCaller() {
        Machine machine = vmm.machine();
        if (machine != null) {
            machine.vcpus().stopCurrent();
        }
    }

    private void reset(ShutdownCause cause) {
        if (resetEnds && guest(cause)) {
            shutdown(ShutdownCause.GUEST_RESET);
            return;
        }
        asleep = false;
        Machine machine = vmm.machine();
        boolean was = running();
        if (machine != null) {
            if (was) {
                machine.vcpus().pauseAll();
            }
            machine.reset();
        }
        if (cause != ShutdownCause.SUBSYSTEM_RESET
                && cause != ShutdownCause.SNAPSHOT_LOAD
                && cause != ShutdownCause.NONE) {
            vmm.emit(new ResetEvent(guest(cause), cause));
        }
        if (running()) {
            if (machine != null && was) {
                machine.vcpus().resumeAll();
            }
        } else if (state != RunState.INMIGRATE && state != RunState.FINISH_MIGRATE) {
            state = RunState.PRELAUNCH;
        }
    }

    @Override
    public void requestShutdown(ShutdownCause cause) {
        stopCaller();
        onLoop(() -> shutdown(cause));
    }

    private void shutdown(ShutdownCause cause) {
        if (ending) {
            return;
        }
        vmm.emit(new ShutdownEvent(guest(cause), cause));
        if (stayAfterShutdown && guest(cause)) {
            stop(RunState.SHUTDOWN);
            return;
        }
        ending = true;
        if (cause == ShutdownCause.GUEST_PANIC && panicAction == PanicAction.EXIT_FAILURE) {
            vmm.leave(1);
            return;
        }
        // Posted, so that the reply to the command that asked for it still goes out.
        vmm.mainLoop().execute(exit);
    }

    /** Changes what is done about events of the guest, as {@code -action} and set-action say. */
    public void act(SetActionArguments actions) {
        if (actions.reboot() != null) {
            resetEnds(actions.reboot() == RebootAction.SHUTDOWN);
        }
        if (actions.shutdown() != null) {
            stayAfterShutdown(actions.shutdown() == ShutdownAction.PAUSE);
        }
        if (actions.panic() != null) {
            panicAction = actions.panic();
        }
        // There is no watchdog here.
    }

    @Override
    public void guestPanicked() {
        stopCaller();
        onLoop(this::panic);
    }

    private void panic() {
        boolean stay =
                panicAction == PanicAction.PAUSE
                        || panicAction == PanicAction.SHUTDOWN && stayAfterShutdown;
        if (panicAction == PanicAction.NONE) {
            vmm.emit(new GuestPanickedEvent(GuestPanicAction.RUN, null));
            Machine machine = vmm.machine();
            if (running() && machine != null) {
                machine.vcpus().resumeAll();
            }
            return;
        }
        vmm.emit(
                new GuestPanickedEvent(
                        stay ? GuestPanicAction.PAUSE : GuestPanicAction.POWEROFF, null));
        stop(RunState.GUEST_PANICKED);
        if (!stay) {
            shutdown(ShutdownCause.GUEST_PANIC);
        }
    }

    @Override
    public void guestRunsCrashKernel() {
        vmm.emit(new GuestCrashloadedEvent(GuestPanicAction.RUN, null));
    }

    @Override
    public void guestPowersOff() {
        vmm.emit(new GuestPvshutdownEvent());
        requestShutdown(ShutdownCause.GUEST_SHUTDOWN);
    }

    @Override
    public void requestSleep() {
        stopCaller();
        onLoop(this::sleep);
    }

    private void sleep() {
        if (!running()) {
            return;
        }
        standStill();
        sleepers.forEach(Sleep::begin);
        state = RunState.SUSPENDED;
        vmm.emit(new SuspendEvent());
    }

    @Override
    public void requestWakeUp(Sleep.Reason reason) {
        // Never at once: what the reset changes may be at work further down.
        vmm.mainLoop().execute(() -> wakeUp(reason));
    }

    private void wakeUp(Sleep.Reason reason) {
        Machine machine = vmm.machine();
        if (machine == null || state != RunState.SUSPENDED || ending) {
            return;
        }
        machine.reset();
        sleepers.forEach(s -> s.end(reason));
        clocks.startVirtual();
        state = RunState.RUNNING;
        machine.vcpus().resumeAll();
        vmm.emit(new WakeupEvent());
    }

    @Override
    public Runnable onSleep(Sleep board) {
        sleepers.add(board);
        return () -> sleepers.remove(board);
    }

    @Override
    public boolean canSleep() {
        return !sleepers.isEmpty();
    }

    @Override
    public boolean asleep() {
        return asleep;
    }

    @Override
    public void asleep(boolean now) {
        asleep = now;
    }

    @Override
    public void requestStop(RunState next) {
        stopCaller();
        onLoop(() -> stop(next));
    }

    @Override
    public void pressPowerButton() {
        vmm.emit(new PowerdownEvent());
        buttons.forEach(Runnable::run);
    }

    @Override
    public Runnable onPowerButton(Runnable press) {
        buttons.add(press);
        return () -> buttons.remove(press);
    }

    private static boolean guest(ShutdownCause cause) {
        return switch (cause) {
            case GUEST_SHUTDOWN, GUEST_RESET, GUEST_PANIC -> true;
            default -> false;
        };
    }

    @Override
    public boolean autostart() {
        return autostart;
    }

    @Override
    public void autostart(boolean wanted) {
        autostart = wanted;
    }
}
