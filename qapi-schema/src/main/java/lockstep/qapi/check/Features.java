package lockstep.qapi.check;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Feature;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.SourceInfo;

import java.util.List;

/** The rules for features. */
final class Features {
    private Features() {}

    /**
     * Checks the features of one definition or member.
     *
     * @param of what to say after each name, empty for a definition's own
     */
    static void check(ErrorLog log, SourceInfo info, List<Feature> features, String of) {
        Clashes clashes = new Clashes();
        for (Feature feature : features) {
            String self = "feature '" + feature.name() + "'" + of;
            String other = clashes.put(feature.name(), self);
            if (other != null) {
                log.report(info, self + " collides with " + other);
            }
        }
    }

    /** Checks those of a type, which cannot have the ones that have a meaning of their own. */
    static void ofType(ErrorLog log, Definition.Type type) {
        SourceInfo info = type.head().info();
        check(log, info, type.head().features(), "");
        for (Feature feature : type.head().features()) {
            if (feature.name().equals("deprecated") || feature.name().equals("unstable")) {
                log.report(info, "feature '" + feature.name() + "' is not supported for types");
            }
        }
    }
}
