package lockstep.runtime.monitor;

import lockstep.qmp.CommandTable;
import lockstep.qmp.JsonObject;
import lockstep.qmp.QmpEvent;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.loop.EventLoop;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** All monitors of a process. Under the machine lock. */
public final class Monitors {
    private final EventLoop loop;
    private final CommandTable commands;
    private final HmpInterpreter interpreter;
    private final EventThrottle throttle;
    private final List<QmpSession> qmp = new ArrayList<>();
    private final List<HmpSession> hmp = new ArrayList<>();

    /** Serves {@code commands} and {@code human} on the main loop. */
    public Monitors(EventLoop loop, CommandTable commands, HmpTable human) {
        this.loop = loop;
        this.commands = commands;
        this.interpreter = new HmpInterpreter(human);
        this.throttle = new EventThrottle(loop, this::broadcast);
    }

    /** Puts a QMP monitor on a device. */
    public void control(Chardev device, boolean pretty) throws ChardevException {
        qmp.add(new QmpSession(loop, commands, device, pretty));
    }

    /** Puts a human monitor on a device. */
    public void readline(Chardev device, boolean editing) throws ChardevException {
        hmp.add(new HmpSession(loop, interpreter, device, editing));
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
}
