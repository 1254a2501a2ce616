package lockstep.runtime.testmachine;

import lockstep.api.ResumeEvent;
import lockstep.api.RunState;
import lockstep.api.ShutdownCause;
import lockstep.api.StopEvent;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.RunListener;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.machine.VcpuGroup;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Run control that starts and stops, and only notes what it is asked to do soon. */
final class NotedRun implements RunControl {
    private final TestProcess process;
    private final List<RunListener> listeners = new ArrayList<>();
    private final List<Runnable> buttons = new ArrayList<>();
    private final List<Sleep> sleepers = new ArrayList<>();
    private volatile RunState state = RunState.PRELAUNCH;
    private boolean autostart = true;

    NotedRun(TestProcess process) {
        this.process = process;
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
        stop(next, TimeUnit.SECONDS.toNanos(10));
    }

    @Override
    public boolean stop(RunState next, long patience) {
        boolean was = running();
        boolean settled = true;
        state = next;
        if (was) {
            process.vcpus().ifPresent(VcpuGroup::pauseAll);
            for (RunListener l : listeners.reversed()) {
                settled &= l.stopped(next, patience);
            }
            process.emit(new StopEvent());
        }
        return settled;
    }

    @Override
    public void start() {
        if (!running()) {
            state = RunState.RUNNING;
            listeners.forEach(l -> l.changed(true, RunState.RUNNING));
            process.vcpus().ifPresent(VcpuGroup::resumeAll);
            process.emit(new ResumeEvent());
        }
    }

    @Override
    public void set(RunState next) {
        state = next;
    }

    @Override
    public void addListener(int priority, RunListener listener) {
        listeners.add(listener);
    }

    @Override
    public void removeListener(RunListener listener) {
        listeners.remove(listener);
    }

    /** How many listen to anything. */
    int listening() {
        return listeners.size() + buttons.size() + sleepers.size();
    }

    @Override
    public void addStartCheck(StartCheck check) {}

    @Override
    public void resume() {
        start();
    }

    @Override
    public void requestReset(ShutdownCause cause) {
        process.journal().add("requestReset");
    }

    @Override
    public void requestShutdown(ShutdownCause cause) {
        process.journal().add("requestShutdown");
    }

    @Override
    public void guestPanicked() {
        process.journal().add("guestPanicked");
    }

    @Override
    public void guestRunsCrashKernel() {
        process.journal().add("guestRunsCrashKernel");
    }

    @Override
    public void guestPowersOff() {
        process.journal().add("guestPowersOff");
    }

    @Override
    public void requestSleep() {
        process.journal().add("requestSleep");
    }

    @Override
    public void requestWakeUp(Sleep.Reason reason) {
        process.journal().add("requestWakeUp " + reason);
    }

    @Override
    public Runnable onSleep(Sleep board) {
        sleepers.add(board);
        return () -> sleepers.remove(board);
    }

    @Override
    public boolean canSleep() {
        return false;
    }

    @Override
    public boolean asleep() {
        return false;
    }

    @Override
    public void asleep(boolean asleep) {}

    @Override
    public void requestStop(RunState next) {
        process.journal().add("requestStop");
    }

    @Override
    public void pressPowerButton() {
        buttons.forEach(Runnable::run);
    }

    @Override
    public Runnable onPowerButton(Runnable press) {
        buttons.add(press);
        return () -> buttons.remove(press);
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
