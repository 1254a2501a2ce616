package lockstep.runtime.machine;

import lockstep.api.RunState;
import lockstep.api.ShutdownCause;
import lockstep.qmp.QmpException;

/**
 * Starts, stops, resets and ends the guest. Called under the machine lock, from the main loop or a thread
 * that has taken the lock; the requests may come from anywhere.
 */
public interface RunControl {
    /** What must hold before {@code cont} lets the guest run, such as that the disks are ours. */
    @FunctionalInterface
    interface StartCheck {
        /** Makes it hold. */
        void check() throws QmpException;
    }

    /** The present state. */
    RunState state();

    /** Whether the guest runs. */
    boolean running();

    /**
     * Stops the guest: guest time stands, the vCPUs are out, listeners are told, disks are drained, and
     * {@code STOP} is emitted. A guest that is stopped already only changes its state.
     */
    void stop(RunState next);

    /**
     * Likewise. What the guest began may take so long to end.
     *
     * @param patience in nanoseconds
     * @return whether all of it has ended; the guest is stopped in any case
     */
    boolean stop(RunState next, long patience);

    /** Lets the guest run: {@code RESUME}, guest time, listeners, vCPUs. No effect if it runs. */
    void start();

    /** Changes the state of a stopped guest, without any other effect. */
    void set(RunState next);

    /** Adds a listener of priority 0. */
    default void addListener(RunListener listener) {
        addListener(RunListener.DEVICE, listener);
    }

    /** Adds a listener; at a start they are called by ascending priority, at a stop by descending. */
    void addListener(int priority, RunListener listener);

    /** Takes a listener back. */
    void removeListener(RunListener listener);

    /** Adds a condition of {@code cont}. */
    void addStartCheck(StartCheck check);

    /** What {@code cont} does, with its checks. */
    void resume() throws QmpException;

    /** Resets the machine soon, from the main loop. Any thread. */
    void requestReset(ShutdownCause cause);

    /** Powers off and ends the process soon, from the main loop. Any thread. */
    void requestShutdown(ShutdownCause cause);

    /** The guest says that it crashed: what was set for that is done. Any thread. */
    void guestPanicked();

    /** The guest says that it runs its crash kernel now. Any thread. */
    void guestRunsCrashKernel();

    /** The guest says that it powers off. Any thread. */
    void guestPowersOff();

    /** Sends the guest to sleep soon, from the main loop, until it is woken. Any thread. */
    void requestSleep();

    /** Wakes a guest that sleeps by a reset of the machine, soon, from the main loop. Any thread. */
    void requestWakeUp(Sleep.Reason reason);

    /** Adds what a board does about sleep: guests of the machine can sleep then. What it gives takes that back. */
    Runnable onSleep(Sleep board);

    /** Whether guests of the machine can sleep. */
    boolean canSleep();

    /** Whether the guest, which was stopped, sleeps again when it is let go on. */
    boolean asleep();

    /** Changes that. */
    void asleep(boolean asleep);

    /** Stops the guest soon, from the main loop, as a vCPU or a disk in trouble asks. Any thread. */
    void requestStop(RunState next);

    /** Presses the guest's power button, as system_powerdown does. */
    void pressPowerButton();

    /** Adds what a board does at a press of the power button. What it gives takes that back. */
    Runnable onPowerButton(Runnable press);

    /** Whether the guest is to run once an incoming migration is complete: not with {@code -S}. */
    boolean autostart();

    /** Changes that. */
    void autostart(boolean wanted);
}
