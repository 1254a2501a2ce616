package lockstep.qapi.check;

import lockstep.qapi.model.Feature;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Names that must differ, also when written as C identifiers. */
final class Clashes {
    private final Map<String, String> seen = new HashMap<>();

    /** Takes a name; gives the description of the one it clashes with, or null. */
    @Nullable String put(String name, String description) {
        return seen.putIfAbsent(Names.identifier(name), description);
    }

    /**
     * Checks the features of one definition or member.
     *
     * @param of what to say after each, empty for a definition's own
     */
    static void features(ErrorLog log, SourceInfo info, List<Feature> features, String of) {
        Clashes clashes = new Clashes();
        for (Feature feature : features) {
            String self = "feature '" + feature.name() + "'" + of;
            String other = clashes.put(feature.name(), self);
            if (other != null) {
                log.report(info, self + " collides with " + other);
            }
        }
    }
}
