package lockstep.codegen;

import lockstep.qapi.model.Member;

import java.util.List;
import java.util.Locale;
import java.util.Set;

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
                    "Deprecated",
                    "Exception");

    private JavaNames() {}

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

    /** The branch record of a union or alternate, which must not be named like the type around it. */
    static String branch(String owner, String wire) {
        String name = type(wire);
        return name.equals(owner) ? name + "Branch" : name;
    }

    /** Name for the component that holds a branch's own members. */
    static String data(List<Member> common) {
        return common.stream().anyMatch(m -> member(m.name()).equals("data"))
                ? "branchData"
                : "data";
    }

    /** {@code block-core.json} as {@code BlockCore}. */
    static String module(String file) {
        String base = file.substring(file.lastIndexOf('/') + 1);
        int dot = base.lastIndexOf('.');
        return words(dot < 0 ? base : base.substring(0, dot), true);
    }
}
