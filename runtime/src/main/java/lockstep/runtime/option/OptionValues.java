package lockstep.runtime.option;

import lockstep.qmp.NumberText;
import lockstep.qmp.OptionText;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The flat {@code key=value,key=value} text of options such as {@code -chardev} and {@code -m}: a comma
 * separates, two commas stand for one, a word without {@code =} is {@code on}, with {@code no} in front
 * {@code off}, and the first word may belong to an implied key. A repeated key overrides.
 */
public final class OptionValues {
    /** The error for an id that is none. */
    public static final String NO_IDENTIFIER =
            "Parameter 'id' expects an identifier\n"
                + "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

    private final OptionText text;
    private final Map<String, String> values;

    private OptionValues(OptionText text) {
        this.text = text;
        this.values = text.toMap();
    }

    /** Splits a text; {@code implied} is the key of a first word without {@code =}, or null. */
    public static OptionValues parse(String text, @Nullable String implied) {
        return new OptionValues(OptionText.parse(text, implied));
    }

    /** What to tell the user about deprecated spellings. */
    public List<String> warnings() {
        return text.warnings();
    }

    /** The last value of each key. */
    public Map<String, String> values() {
        return values;
    }

    /** The value of a key or null. */
    public @Nullable String get(String key) {
        return values.get(key);
    }

    /** The value of a key or its default. */
    public String get(String key, String fallback) {
        return values.getOrDefault(key, fallback);
    }

    /** A boolean, or null when it is not given. */
    public @Nullable Boolean bool(String key) throws OptionException {
        String value = values.get(key);
        return value == null ? null : bool(key, value);
    }

    /** A boolean with its default. */
    public boolean bool(String key, boolean fallback) throws OptionException {
        Boolean value = bool(key);
        return value == null ? fallback : value;
    }

    private static boolean bool(String key, String value) throws OptionException {
        return switch (value) {
            case "on", "yes", "true", "y" -> true;
            case "off", "no", "false", "n" -> false;
            default -> throw new OptionException("Parameter '" + key + "' expects 'on' or 'off'");
        };
    }

    /** A number of 64 bits or the default; a negative one stands for its bits. */
    public long number(String key, long fallback) throws OptionException {
        String value = values.get(key);
        if (value == null) {
            return fallback;
        }
        NumberText number = NumberText.wrapping(value);
        return switch (number.outcome()) {
            case NUMBER -> number.value();
            case OUT_OF_RANGE ->
                    throw new OptionException(
                            "Value '" + value + "' is too large for parameter '" + key + "'");
            case INVALID -> throw new OptionException("Parameter '" + key + "' expects a number");
        };
    }

    /** A size in bytes with suffix b, k, M, G, T, P, E; {@code unit} is the suffix when none is given. */
    public static long size(String key, String text, char unit) throws OptionException {
        NumberText bytes = NumberText.size(text, unit);
        if (bytes.outcome() != NumberText.Outcome.NUMBER) {
            throw new OptionException(bytes.sizeRefusal(key, text));
        }
        return bytes.value();
    }

    /** Refuses keys that are not in {@code known}: {@code Invalid parameter 'x'}. */
    public OptionValues only(Set<String> known) throws OptionException {
        for (OptionText.Option option : text.options()) {
            if (!known.contains(option.name())) {
                throw new OptionException("Invalid parameter '" + option.name() + "'");
            }
        }
        return this;
    }

    /** The id item if there is one; {@code Parameter 'id' expects an identifier} if it is none. */
    public @Nullable String id() throws OptionException {
        String id = values.get("id");
        if (id != null && !OptionText.isIdentifier(id)) {
            throw new OptionException(NO_IDENTIFIER);
        }
        return id;
    }
}
