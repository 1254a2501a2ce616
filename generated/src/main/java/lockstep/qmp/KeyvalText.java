package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * QEMU's {@code key=value,a.b.0=c} text. A comma in a value is written twice; dots make nested
 * objects, numbers make arrays; the first item may go without its key.
 */
public final class KeyvalText {
    private static final Pattern FRAGMENT =
            Pattern.compile("[0-9]+|(__[A-Za-z0-9.-]+_)?[A-Za-z][A-Za-z0-9_-]*");
    private static final int MAX_KEY = 127;

    /** Trees are walked recursively; JSON has the same limit. */
    private static final int MAX_NESTING = 1024;

    private KeyvalText() {}

    /**
     * Parses text in which every item but the first needs a key and a value.
     *
     * @param impliedKey key of a first item without one, or null
     * @throws QmpException with QEMU's text
     */
    public static JsonObject parse(String text, @Nullable String impliedKey) throws QmpException {
        JsonObject root = new JsonObject();
        int at = 0;
        boolean first = true;
        while (at < text.length()) {
            int end = keyEnd(text, at);
            String key = text.substring(at, end);
            boolean hasValue = end < text.length() && text.charAt(end) == '=';
            int valueAt = end + 1;
            if (!hasValue) {
                if (first && impliedKey != null && !key.isEmpty()) {
                    key = impliedKey;
                    valueAt = at;
                } else if (key.isEmpty()) {
                    throw new QmpException("Invalid parameter ''");
                } else {
                    throw new QmpException("Expected '=' after parameter '" + key + "'");
                }
            }
            StringBuilder value = new StringBuilder();
            at = value(text, valueAt, value);
            put(root, key, value.toString());
            first = false;
        }
        return root.isEmpty() ? root : lists(root, "");
    }

    /**
     * Makes the tree of a flat list of dotted keys, as {@code -drive} options are read; later values
     * of a key replace earlier ones.
     *
     * @throws QmpException when keys contradict each other
     */
    public static JsonObject tree(Map<String, String> flat) throws QmpException {
        JsonObject root = new JsonObject();
        for (Map.Entry<String, String> entry : flat.entrySet()) {
            put(root, entry.getKey(), entry.getValue());
        }
        return lists(root, "");
    }

    private static int keyEnd(String text, int at) {
        int i = at;
        while (i < text.length() && text.charAt(i) != '=' && text.charAt(i) != ',') {
            i++;
        }
        return i;
    }

    /** Appends the value at an index and gives the index after its comma. */
    static int value(String text, int at, StringBuilder value) {
        int i = at;
        while (i < text.length()) {
            char c = text.charAt(i++);
            if (c == ',') {
                if (i >= text.length() || text.charAt(i) != ',') {
                    return i;
                }
                i++;
            }
            value.append(c);
        }
        return i;
    }

    private static void put(JsonObject root, String key, String value) throws QmpException {
        JsonObject at = root;
        String[] parts = key.split("\\.", -1);
        if (parts.length > MAX_NESTING) {
            throw new QmpException("Parameter '" + parts[0] + "' is nested too deeply");
        }
        StringBuilder prefix = new StringBuilder();
        for (int i = 0; i < parts.length; i++) {
            String part = parts[i];
            if (part.length() > MAX_KEY) {
                String what = i > 0 || parts.length > 1 ? " fragment" : "";
                throw new QmpException("Parameter" + what + " '" + part + "' is too long");
            }
            if (!FRAGMENT.matcher(part).matches() || (i == 0 && part.matches("[0-9]+"))) {
                throw new QmpException("Invalid parameter '" + key + "'");
            }
            prefix.append(i == 0 ? "" : ".").append(part);
            JsonValue there = at.get(part);
            if (i == parts.length - 1) {
                if (there instanceof JsonObject) {
                    throw inconsistent(prefix + ".");
                }
                at.put(part, value);
            } else if (there == null) {
                JsonObject inner = new JsonObject();
                at.put(part, inner);
                at = inner;
            } else if (there instanceof JsonObject inner) {
                at = inner;
            } else {
                throw inconsistent(prefix + ".");
            }
        }
    }

    private static QmpException inconsistent(String prefix) {
        return new QmpException("Parameters '" + prefix + "*' used inconsistently");
    }

    /** Turns the objects whose keys are numbers into arrays. */
    private static JsonObject lists(JsonObject object, String prefix) throws QmpException {
        for (String key : List.copyOf(object.members().keySet())) {
            if (object.get(key) instanceof JsonObject inner) {
                String path = prefix + key + ".";
                JsonObject done = lists(inner, path);
                object.put(key, isList(done, path) ? list(done, path) : done);
            }
        }
        return object;
    }

    private static boolean isList(JsonObject object, String path) throws QmpException {
        int numbers = 0;
        for (String key : object.members().keySet()) {
            if (Character.isDigit(key.charAt(0))) {
                numbers++;
            }
        }
        if (numbers != 0 && numbers != object.size()) {
            throw inconsistent(path);
        }
        return numbers != 0;
    }

    private static JsonArray list(JsonObject object, String path) throws QmpException {
        List<JsonValue> elements = new ArrayList<>();
        for (int i = 0; i < object.size(); i++) {
            JsonValue element = object.get(String.valueOf(i));
            if (element == null) {
                throw new QmpException("Parameter '" + path + i + "' missing");
            }
            elements.add(element);
        }
        return JsonArray.of(elements);
    }
}
