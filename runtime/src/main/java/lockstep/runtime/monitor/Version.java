package lockstep.runtime.monitor;

import lockstep.qmp.JsonObject;

/** The version that clients are told: that of the QEMU whose behaviour this program has. */
public final class Version {
    /** First number. */
    public static final int MAJOR = 10;

    /** Second number. */
    public static final int MINOR = 2;

    /** Third number. */
    public static final int MICRO = 2;

    /** What distributors append; empty as in a build from the release's sources. */
    public static final String PACKAGE = "";

    private Version() {}

    /** The three numbers with dots between them. */
    public static String text() {
        return MAJOR + "." + MINOR + "." + MICRO;
    }

    /** The value of {@code version} in the greeting and of query-version. */
    public static JsonObject toJson() {
        return new JsonObject()
                .put(
                        "qemu",
                        new JsonObject()
                                .put("major", MAJOR)
                                .put("minor", MINOR)
                                .put("micro", MICRO))
                .put("package", PACKAGE);
    }
}
