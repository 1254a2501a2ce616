package lockstep.runtime.machine;

import lockstep.api.RunState;

/** Hears when the guest starts and stops. Called under the machine lock, vCPUs paused. */
@FunctionalInterface
public interface RunListener {
    /** Priority of block drain: the first to go on at a start, the last to be told of a stop. */
    int BLOCK = -200;

    /** Priority of the guest's clock. */
    int CLOCK = -100;

    /** Priority of a listener that has none of its own. */
    int DEVICE = 0;

    /** The guest is about to run, or has stopped; {@code state} is the state it has from now on. */
    void changed(boolean running, RunState state);

    /**
     * The guest has stopped.
     *
     * @param patience how many nanoseconds what it began may take to end
     * @return whether that has ended
     */
    default boolean stopped(RunState state, long patience) {
        changed(false, state);
        return true;
    }
}
