package lockstep.qapi.check;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.Map;

/** Names that must differ, also when written as C identifiers. */
final class Clashes {
    private final Map<String, String> seen = new HashMap<>();

    /** Takes a name; gives the description of the one it clashes with, or null. */
    @Nullable String put(String name, String description) {
        return seen.putIfAbsent(Names.identifier(name), description);
    }
}
