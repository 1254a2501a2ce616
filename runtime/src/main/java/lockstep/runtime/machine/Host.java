package lockstep.runtime.machine;

import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.Optional;

/** What a process gives to its machine. */
public interface Host {
    /** The lock that owns all device state. */
    MachineLock lock();

    /** The loop that runs under the machine lock. */
    EventLoop mainLoop();

    /** The clocks. */
    Clocks clocks();

    /** Device sections, of the machine and of the process (timer, globalstate). */
    StateRegistry state();

    /** Starts, stops and ends the guest. */
    RunControl run();

    /** A service that a room offers, if that room is there. */
    <T> Optional<T> find(Class<T> type);

    /** A service that must be there. Throws IllegalStateException naming the type otherwise. */
    <T> T service(Class<T> type);

    /** Prints a message for the user on standard error, with the program's name in front. Any thread. */
    void report(String message);

    /** Prints a warning likewise. */
    void warn(String message);
}
