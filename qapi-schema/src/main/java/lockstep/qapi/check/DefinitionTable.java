package lockstep.qapi.check;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** The definitions of a schema by name, and how messages speak of them. */
final class DefinitionTable {
    private final ErrorLog log;
    private final Set<String> lost;
    private final boolean complete;
    private final Map<String, Definition> definitions = new HashMap<>();

    /**
     * An empty table.
     *
     * @param lost names whose definitions had errors: uses of them are no errors of their own
     * @param complete whether all files could be read; if not, no name is known to be missing
     */
    DefinitionTable(ErrorLog log, Set<String> lost, boolean complete) {
        this.log = log;
        this.lost = lost;
        this.complete = complete;
        definitions.put(Schema.QTYPE.name(), Schema.QTYPE);
    }

    /** Adds a definition, unless its name is taken. */
    boolean define(Definition definition) {
        SourceInfo info = definition.head().info();
        String name = definition.name();
        if (Schema.builtin(name).isPresent()) {
            log.report(info, "built-in type '" + name + "' is already defined");
            return false;
        }
        Definition before = definitions.putIfAbsent(name, definition);
        if (before == null) {
            return true;
        }
        if (before == Schema.QTYPE) {
            log.report(info, describe(name) + " is already defined");
        } else {
            log.report(
                    info,
                    "'"
                            + name
                            + "' is already defined\n"
                            + before.head().info()
                            + ": previous definition");
        }
        return false;
    }

    /** The definition of that name, or null. */
    @Nullable Definition find(String name) {
        return definitions.get(name);
    }

    /** Whether there is a type of that name. */
    boolean isType(String name) {
        return Schema.builtin(name).isPresent() || definitions.get(name) instanceof Definition.Type;
    }

    /**
     * Whether there is such a type. Notes an error if not, except when an earlier error explains it.
     *
     * @param what who uses it, as the message says
     */
    boolean resolve(String type, SourceInfo info, String what) {
        if (isType(type)) {
            return true;
        }
        if (complete && !lost.contains(type)) {
            log.report(info, what + " uses unknown type '" + type + "'");
        }
        return false;
    }

    String describe(TypeRef type) {
        return type.array() ? "array type ['" + type.name() + "']" : describe(type.name());
    }

    String describe(String type) {
        Definition definition = definitions.get(type);
        String meta = definition == null ? "built-in" : definition.meta();
        return meta + " type '" + type + "'";
    }
}
