package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * QEMU's older option text, as -chardev, -drive, -netdev and -object read it: like {@link
 * KeyvalText}, but an item without a value is a boolean ({@code server} is on, {@code nowait} is
 * {@code wait=off}), and keys may repeat.
 *
 * @param options the items in order
 * @param warnings what to tell the user, each perhaps of two lines
 */
public record OptionText(List<Option> options, List<String> warnings) {
    /** One item. */
    public record Option(String name, String value) {}

    /**
     * Parses.
     *
     * @param impliedKey key of a first item without one, or null
     */
    public static OptionText parse(String text, @Nullable String impliedKey) {
        List<Option> options = new ArrayList<>();
        List<String> warnings = new ArrayList<>();
        int at = 0;
        boolean first = true;
        while (at < text.length()) {
            int end = at;
            while (end < text.length() && text.charAt(end) != '=' && text.charAt(end) != ',') {
                end++;
            }
            String name = text.substring(at, end);
            StringBuilder value = new StringBuilder();
            if (end < text.length() && text.charAt(end) == '=') {
                at = KeyvalText.value(text, end + 1, value);
            } else if (first && impliedKey != null) {
                at = KeyvalText.value(text, at, value);
                name = impliedKey;
            } else {
                at = end + 1;
                String written = name;
                boolean off = name.startsWith("no");
                name = off ? name.substring(2) : name;
                value.append(off ? "off" : "on");
                if (!written.equals("help") && !written.equals("?")) {
                    warnings.add(
                            "short-form boolean option '"
                                    + written
                                    + "' deprecated\nPlease use "
                                    + name
                                    + "="
                                    + value
                                    + " instead");
                }
            }
            options.add(new Option(name, value.toString()));
            first = false;
        }
        return new OptionText(List.copyOf(options), List.copyOf(warnings));
    }

    /** The last value of an option, or null. */
    public @Nullable String get(String name) {
        String value = null;
        for (Option option : options) {
            if (option.name().equals(name)) {
                value = option.value();
            }
        }
        return value;
    }

    /** All options, the last value of each. */
    public Map<String, String> toMap() {
        Map<String, String> map = new LinkedHashMap<>();
        for (Option option : options) {
            map.put(option.name(), option.value());
        }
        return map;
    }

    /**
     * The tree of the dotted keys, which a {@link KeyvalInputVisitor} reads.
     *
     * @throws QmpException when keys contradict each other
     */
    public JsonObject toTree() throws QmpException {
        return KeyvalText.tree(toMap());
    }

    /** Whether text may be the id of an object, a node or a device. */
    public static boolean isIdentifier(String id) {
        return id.matches("[A-Za-z][A-Za-z0-9._-]*");
    }
}
