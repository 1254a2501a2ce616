package lockstep.qmp;

import java.util.Map;

/**
 * What a command returned, typed and as it came.
 *
 * @param value the typed value; what the schema lacks is missing from it
 * @param raw the JSON that the server sent
 * @param unrecognized what the schema lacks, by path, such as {@code [0].new-member}
 */
public record QmpReply<R>(R value, JsonValue raw, Map<String, JsonValue> unrecognized) {}
