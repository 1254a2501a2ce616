package lockstep.runtime.trace;

/**
 * One named trace point. Held in a static field; {@link #on} is a plain volatile read, so that a point
 * which is off costs next to nothing. Any thread.
 */
public final class TraceEvent {
    private final String name;
    private volatile boolean on;

    TraceEvent(String name) {
        this.name = name;
    }

    /** The name that trace-event-set-state matches. */
    public String name() {
        return name;
    }

    /** Whether lines are written. */
    public boolean on() {
        return on;
    }

    void set(boolean enabled) {
        on = enabled;
    }

    /** Writes the event without text: its name and one space. */
    public void log() {
        if (on) {
            Trace.write(name + ' ');
        }
    }

    /** Writes the event with text. Ask {@link #on} first where making the text costs something. */
    public void log(String text) {
        if (on) {
            Trace.write(name + ' ' + text);
        }
    }

    /** Writes the event with text made by {@link String#formatted}. */
    public void log(String format, Object... arguments) {
        if (on) {
            Trace.write(name + ' ' + format.formatted(arguments));
        }
    }
}
