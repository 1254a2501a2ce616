package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.util.EnumMap;
import java.util.Map;
import java.util.Set;

/** What {@code pragma} directives set; one for a schema with all its includes, the last one wins. */
public final class Pragmas {
    /** A rule that definitions may be excepted from by name. */
    public enum Rule {
        /** Commands have no underscores in their names. */
        COMMAND_NAME("command-name-exceptions"),
        /** Commands return objects. */
        COMMAND_RETURNS("command-returns-exceptions"),
        /** All members are documented. */
        DOCUMENTATION("documentation-exceptions"),
        /** Members have no underscores and upper-case letters in their names. */
        MEMBER_NAME("member-name-exceptions");

        private final String key;

        Rule(String key) {
            this.key = key;
        }

        static @Nullable Rule of(String key) {
            for (Rule rule : values()) {
                if (rule.key.equals(key)) {
                    return rule;
                }
            }
            return null;
        }
    }

    private final Map<Rule, Set<String>> exceptions = new EnumMap<>(Rule.class);
    private boolean docRequired;
    private boolean known = true;

    Pragmas() {}

    /** Whether every definition must be documented. */
    public boolean docRequired() {
        return docRequired;
    }

    /** Whether a rule does not hold for a definition. */
    public boolean except(Rule rule, String definition) {
        return !known || exceptions.getOrDefault(rule, Set.of()).contains(definition);
    }

    void requireDocs(boolean required) {
        docRequired = required;
    }

    void except(Rule rule, Set<String> definitions) {
        exceptions.put(rule, definitions);
    }

    /** Some directive could not be read, so nothing is known to break a rule. */
    void lose() {
        known = false;
    }
}
