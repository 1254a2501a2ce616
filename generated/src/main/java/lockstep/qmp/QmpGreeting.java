package lockstep.qmp;

import java.util.ArrayList;
import java.util.List;

/**
 * What a server says of itself when a connection begins.
 *
 * @param major first part of its version, 0 where the server gives none
 * @param minor second part
 * @param micro third part
 * @param packageVersion the distributor's addition, perhaps empty
 * @param capabilities what the connection can do, such as {@code oob}
 * @param raw the whole message
 */
public record QmpGreeting(
        int major,
        int minor,
        int micro,
        String packageVersion,
        List<String> capabilities,
        JsonObject raw) {
    /** Copies the list. */
    public QmpGreeting {
        capabilities = List.copyOf(capabilities);
    }

    /** Reads {@code {"QMP": {...}}}; what is not there counts as zero or empty. */
    static QmpGreeting of(JsonObject raw) {
        JsonObject version = member(member(raw, "QMP"), "version");
        JsonObject numbers = member(version, "qemu");
        List<String> capabilities = new ArrayList<>();
        if (member(raw, "QMP").get("capabilities") instanceof JsonArray array) {
            for (JsonValue value : array) {
                if (value instanceof JsonString string) {
                    capabilities.add(string.value());
                }
            }
        }
        return new QmpGreeting(
                number(numbers, "major"),
                number(numbers, "minor"),
                number(numbers, "micro"),
                version.get("package") instanceof JsonString text ? text.value() : "",
                capabilities,
                raw);
    }

    private static JsonObject member(JsonObject object, String name) {
        return object.get(name) instanceof JsonObject member ? member : new JsonObject();
    }

    private static int number(JsonObject object, String name) {
        return object.get(name) instanceof JsonNumber number ? (int) number.signed().orElse(0) : 0;
    }

    /** The version, such as {@code 10.2.2}. */
    public String version() {
        return major + "." + minor + "." + micro;
    }
}
