package lockstep.runtime.monitor;

import lockstep.qmp.CommandTable;
import lockstep.qmp.JsonObject;
import lockstep.qmp.QmpEvent;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;

/**
 * All monitors of a process. Made and closed under the machine lock; {@link #emit} is for any thread.
 *
 * <p>QMP clients are read on a thread of their own, so that a main loop that is blocked, by a network
 * block device whose peer is dead for instance, can be helped by out-of-band commands.
 */
public final class Monitors {
    /** Whose command is being carried out. */
    static final ScopedValue<Chardev.Attachment> CLIENT = ScopedValue.newInstance();

    private final EpollLoop main;
    private final Supplier<EpollLoop> readers;
    private final CommandTable commands;
    private final HmpInterpreter interpreter;
    private final EventThrottle throttle;
    private final List<QmpSession> qmp = new CopyOnWriteArrayList<>();
    private final List<HmpSession> hmp = new ArrayList<>();
    private final Runnable leaving;
    private @Nullable EpollLoop reader;

    /**
     * Serves {@code commands} and {@code human} on the main loop.
     *
     * @param readers makes the loop of the thread that reads QMP clients
     * @param leaving told, on any thread, that a client wants the process to end as soon as it is its turn
     */
    public Monitors(
            EpollLoop main,
            Supplier<EpollLoop> readers,
            CommandTable commands,
            HmpTable human,
            Runnable leaving) {
        this.main = main;
        this.readers = readers;
        this.commands = commands;
        this.leaving = leaving;
        this.interpreter = new HmpInterpreter(human);
        this.throttle = new EventThrottle(main, this::broadcast);
    }

    /** Puts a QMP monitor on a device. */
    public void control(Chardev device, boolean pretty) throws ChardevException {
        // A mux serves several front ends on the main loop: its clients may overtake themselves,
        // too,
        // but not a blocked main loop.
        boolean shared = device.type().equals("chardev-mux");
        EventLoop loop = device.movable() ? reader() : main;
        boolean oob = device.movable() || shared;
        qmp.add(new QmpSession(loop, main, commands, device, pretty, oob, leaving));
    }

    private EpollLoop reader() {
        EpollLoop loop = reader;
        if (loop == null) {
            loop = readers.get();
            loop.start();
            reader = loop;
        }
        return loop;
    }

    /** Puts a human monitor on a device. */
    public void readline(Chardev device, boolean editing) throws ChardevException {
        hmp.add(new HmpSession(main, interpreter, device, editing));
    }

    /**
     * A file descriptor that came along with the command that is being carried out, or null. The caller
     * owns it.
     */
    public @Nullable Fd takeDescriptor() {
        return CLIENT.isBound() ? CLIENT.get().takeDescriptor() : null;
    }

    /** Runs a line of the human monitor. */
    public HmpInterpreter interpreter() {
        return interpreter;
    }

    /** Sends an event to all clients that have negotiated, perhaps later or not at all if many come. */
    public void emit(QmpEvent event) {
        throttle.send(event.eventName(), event.toMessage(Instant.now()));
    }

    private void broadcast(JsonObject message) {
        for (QmpSession session : qmp) {
            session.event(message);
        }
    }

    /** Lets go of all devices. */
    public void close() {
        qmp.forEach(QmpSession::close);
        hmp.forEach(HmpSession::close);
        qmp.clear();
        hmp.clear();
    }

    /** Ends the thread that reads clients. After {@link #close}, without the machine lock. */
    public void join() {
        EpollLoop loop = reader;
        if (loop != null) {
            loop.close();
        }
    }
}
