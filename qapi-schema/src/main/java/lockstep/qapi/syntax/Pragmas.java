package lockstep.qapi.syntax;

import java.util.HashSet;
import java.util.Set;

/** What {@code pragma} directives set; one for a schema with all its includes. */
public final class Pragmas {
    /** True when every definition must be documented. */
    public boolean docRequired;

    /** Commands whose name may have underscores. */
    public final Set<String> commandNames = new HashSet<>();

    /** Commands that may return something other than an object. */
    public final Set<String> commandReturns = new HashSet<>();

    /** Definitions that may leave members undocumented. */
    public final Set<String> documentation = new HashSet<>();

    /** Definitions whose members may have upper-case letters and underscores. */
    public final Set<String> memberNames = new HashSet<>();

    /** Nothing required, no exceptions. */
    public Pragmas() {}
}
