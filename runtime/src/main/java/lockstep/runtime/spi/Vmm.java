package lockstep.runtime.spi;

import lockstep.qmp.QmpEvent;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.machine.Host;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.monitor.YankRegistry;
import lockstep.runtime.object.ObjectTree;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The services that run in one virtual machine process, for every room. Under the machine lock unless they say otherwise. */
public interface Vmm extends Host {
    /** The character devices. */
    Chardevs chardevs();

    /** Sends an event to the QMP clients, at once. Any thread. */
    void emit(QmpEvent event);

    /** Takes over the descriptor that a monitor was handed under that name (getfd); null if there is none. */
    @Nullable Fd takeNamedDescriptor(String name);

    /** Whether the command line is still being carried out, so that descriptors have numbers, not names. */
    boolean starting();

    /** The human monitor's commands. */
    HmpTable hmp();

    /** The objects that users see and make. */
    ObjectTree objects();

    /** The board, or null with {@code -machine none} and before {@code StartPhase.MACHINE}. */
    @Nullable Machine machine();

    /** What runs the guest, or would with {@code -machine none}; null before {@code StartPhase.MACHINE}. */
    @Nullable Accelerator accelerator();

    /** The accelerators that rooms offer, in order. */
    List<AcceleratorType> acceleratorTypes();

    /** Whether the machine has what machines have by default: not under {@code -nodefaults}. */
    boolean defaults();

    /** The guest's name of {@code -name}, or null. */
    @Nullable String name();

    /** Directories with firmware, in order of search. */
    List<String> firmwareDirectories();

    /** Offers a service to the other rooms. Once per type. */
    <T> void publish(Class<T> type, T service);

    /** Takes a service back. */
    void withdraw(Class<?> type);

    /** What can be cut off by yank, of this process. */
    YankRegistry yank();

    /**
     * Ends the process with this status, as after an error that leaves nothing to go on with: the main loop ends, and
     * everything is taken down in order. Returns at once. Any thread.
     */
    void leave(int status);
}
