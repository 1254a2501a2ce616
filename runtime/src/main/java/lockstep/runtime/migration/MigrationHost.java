package lockstep.runtime.migration;

import lockstep.api.Event;
import lockstep.api.RunState;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * What migration needs of the process around it: the machine, run control, the disks, the monitors. Called
 * under the machine lock unless said otherwise.
 */
public interface MigrationHost {
    /** The machine lock. Any thread. */
    MachineLock lock();

    /** The device sections. */
    StateRegistry state();

    /** The resolved machine type. */
    String machineType();

    /** All RAM blocks in the order of the stream. */
    List<RamBlock> blocks();

    /** The record of changed pages. */
    DirtyLog dirtyLog();

    /** The present run state. */
    RunState runState();

    /** Whether the guest runs. Any thread. */
    boolean running();

    /** Stops the guest (with a STOP event if it ran) and takes over the run state in any case. */
    void stop(RunState state);

    /** Likewise; whether the disks have ended what the guest began within so many nanoseconds. */
    boolean stop(RunState state, long patience);

    /** Starts the guest, with a RESUME event, unless it runs. */
    void start();

    /** Takes over a run state of a guest that does not run. */
    void runState(RunState state);

    /** Whether the guest, which was stopped, sleeps again when it is started. */
    boolean asleep();

    /** Changes that. */
    void asleep(boolean asleep);

    /** Whether the guest is to start by itself: false under {@code -S}. */
    boolean autostart();

    /** Forces the automatic start. */
    void autostart(boolean on);

    /** Lets the block nodes use their images. Throws with a sentence for the user. */
    void activateDisks() throws StateException;

    /** Flushes the images and leaves them to the destination. Throws with a sentence for the user. */
    void inactivateDisks() throws StateException;

    /** Tells the network where the guest is now. */
    void announce();

    /** What moves dirty bitmaps; null when nothing has any. */
    default @Nullable BitmapHandover bitmaps() {
        return null;
    }

    /** Takes over the descriptor that a monitor keeps under that name; null if there is none. */
    default @Nullable Fd takeDescriptor(String name) {
        return null;
    }

    /** The user's objects. */
    ObjectTree objects();

    /** Sends an event to the monitors. Any thread. */
    void emit(Event event);

    /** Prints a line for the user. Any thread. */
    void report(String message);

    /** Runs a task on the main loop, under the machine lock. Any thread. */
    void execute(Runnable task);

    /** Ends the process with that exit code. Any thread. */
    void exit(int code);

    /** A connection that {@code yank} may cut with {@code cut}. Any thread. */
    default void connected(Runnable cut) {}

    /** That connection is gone. Any thread. */
    default void disconnected(Runnable cut) {}
}
