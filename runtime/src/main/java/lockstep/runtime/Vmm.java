package lockstep.runtime;

import java.util.Optional;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.MachineLock;
import lockstep.runtime.vmstate.StateRegistry;

/** The context of one virtual machine process: what every room can reach. */
public interface Vmm {
    /** The lock that owns all device state. */
    MachineLock lock();

    /** The loop that runs under the machine lock. */
    EventLoop mainLoop();

    /** The clocks. */
    Clocks clocks();

    /** Device sections, of the machine and of the process (timer, globalstate). */
    StateRegistry state();

    /** The character devices. */
    Chardevs chardevs();

    /** Offers a service to the other rooms. Once per type. */
    <T> void publish(Class<T> type, T service);

    /** A service that another room offers, if that room is there. */
    <T> Optional<T> find(Class<T> type);

    /** A service that must be there. Throws IllegalStateException naming the type otherwise. */
    <T> T service(Class<T> type);

    /** Prints a message for the user on standard error, with the program's name in front. */
    void report(String message);

    /** Prints a warning likewise. */
    void warn(String message);
}
