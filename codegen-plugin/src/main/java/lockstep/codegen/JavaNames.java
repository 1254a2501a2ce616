package lockstep.codegen;

import lockstep.qapi.model.Definition;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

import javax.lang.model.SourceVersion;

/** Java names for wire names. */
final class JavaNames {
    /** Names that a record component must not have, and what the generated methods use. */
    private static final Set<String> RESERVED =
            Set.of(
                    "builder",
                    "clone",
                    "finalize",
                    "getClass",
                    "hashCode",
                    "notify",
                    "notifyAll",
                    "toString",
                    "wait",
                    "visitor",
                    "eventName",
                    "hasData",
                    "dataJson",
                    "toMessage");

    /** Simple names that generated code relies on. */
    private static final Set<String> TAKEN =
            Set.of(
                    "String",
                    "Object",
                    "Override",
                    "Integer",
                    "Long",
                    "Boolean",
                    "Double",
                    "List",
                    "Nullable",
                    "Builder",
                    "Record",
                    "Enum",
                    "Event",
                    "Introspection",
                    "Documentation",
                    "Map",
                    "Client",
                    "Deprecated",
                    "Exception");

    /** What an enumeration reads for a value that its schema lacks. */
    static final String UNRECOGNIZED_CONSTANT = "UNRECOGNIZED";

    /** What unions and alternates read for a branch or an alternative that their schema lacks. */
    static final String UNRECOGNIZED_BRANCH = "Unrecognized";

    private JavaNames() {}

    /** A name that is not taken yet, which it then is: names that differ in a schema may not in Java. */
    static String unique(String wanted, Set<String> taken) {
        String name = wanted;
        while (!taken.add(name)) {
            name += "_";
        }
        return name;
    }

    /** The constants of an enumeration by wire name. */
    static Map<String, String> constants(Definition.EnumType type) {
        Set<String> taken = new HashSet<>(Set.of(UNRECOGNIZED_CONSTANT));
        Map<String, String> names = new LinkedHashMap<>();
        type.values().forEach(v -> names.put(v.name(), unique(constant(v.name()), taken)));
        return names;
    }

    private static String words(String wire, boolean upperFirst) {
        StringBuilder name = new StringBuilder();
        boolean upper = upperFirst;
        for (int i = 0; i < wire.length(); i++) {
            char c = wire.charAt(i);
            if (c == '-' || c == '_' || c == '.') {
                upper = upper || name.length() > 0;
            } else {
                name.append(upper ? Character.toUpperCase(c) : c);
                upper = false;
            }
        }
        return name.toString();
    }

    /** {@code query-status} as {@code queryStatus}. */
    static String member(String wire) {
        String name = words(wire, false);
        if (Character.isDigit(name.charAt(0))) {
            name = "_" + name;
        } else if (Character.isUpperCase(name.charAt(0))) {
            name = Character.toLowerCase(name.charAt(0)) + name.substring(1);
        }
        return SourceVersion.isKeyword(name) || RESERVED.contains(name) ? name + "_" : name;
    }

    /** {@code query-status} as {@code QueryStatus}. */
    static String type(String wire) {
        String name = words(wire, true);
        if (Character.isDigit(name.charAt(0))) {
            name = "_" + name;
        }
        return TAKEN.contains(name) ? name + "Value" : name;
    }

    /** {@code STOP} and {@code BLOCK_JOB_READY} as {@code Stop} and {@code BlockJobReady}. */
    static String event(String wire) {
        return words(wire.toLowerCase(Locale.ROOT), true) + "Event";
    }

    /** {@code query-status} as {@code QUERY_STATUS}. */
    static String constant(String wire) {
        StringBuilder name = new StringBuilder();
        for (int i = 0; i < wire.length(); i++) {
            char c = wire.charAt(i);
            boolean plain = Character.isLetterOrDigit(c) || c == '_';
            name.append(plain ? Character.toUpperCase(c) : '_');
        }
        return Character.isDigit(name.charAt(0)) ? "_" + name : name.toString();
    }

    /** The branch records of a union or alternate, which must not be named like the type around. */
    static Map<String, String> branches(String owner, Stream<String> wireNames) {
        Set<String> taken = new HashSet<>(Set.of(UNRECOGNIZED_BRANCH));
        Map<String, String> names = new LinkedHashMap<>();
        wireNames.forEach(
                wire -> {
                    String name = type(wire);
                    names.put(wire, unique(name.equals(owner) ? name + "Branch" : name, taken));
                });
        return names;
    }

    /** {@code block-core.json} as {@code BlockCore}. */
    static String module(String file) {
        String base = file.substring(file.lastIndexOf('/') + 1);
        int dot = base.lastIndexOf('.');
        return words(dot < 0 ? base : base.substring(0, dot), true);
    }
}
