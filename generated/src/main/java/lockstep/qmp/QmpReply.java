package lockstep.qmp;

import java.util.List;
import java.util.Map;

/**
 * What a command returned, typed and as it came. Client and server may be of different age: the last
 * two parts say in what their schemas differ.
 *
 * @param value the typed value; what an older server did not send is empty, zero or false in it
 * @param raw the JSON that the server sent
 * @param unrecognized what the client's schema lacks, by path, such as {@code [0].new-member}
 * @param missing what the server's schema lacks, by path
 */
public record QmpReply<R>(
        R value, JsonValue raw, Map<String, JsonValue> unrecognized, List<String> missing) {}
