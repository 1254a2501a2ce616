package lockstep.runtime.tls;

import lockstep.qmp.QmpException;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What of GnuTLS's priority strings has a meaning for the Java platform's engine: a set to begin with, of which it has
 * one, and versions of the protocol that are left out or added.
 */
final class TlsPriority {
    private static final List<String> ALL = List.of("TLSv1.3", "TLSv1.2");

    private TlsPriority() {}

    /** The versions that may be spoken, in a list of the caller's own. */
    static List<String> protocols(String priority) throws QmpException {
        List<String> versions = new ArrayList<>(ALL);
        for (String word : priority.split(":", -1)) {
            String w = word.toUpperCase(Locale.ROOT);
            switch (w) {
                case "", "NORMAL", "@SYSTEM", "SECURE128", "SECURE192", "SECURE256", "PFS" -> {}
                case "-VERS-ALL", "-VERS-TLS-ALL" -> versions.clear();
                case "-VERS-TLS1.3" -> versions.remove("TLSv1.3");
                case "-VERS-TLS1.2" -> versions.remove("TLSv1.2");
                case "+VERS-TLS1.3", "+VERS-TLS1.2" -> {
                    String version = "TLSv" + w.substring(w.length() - 3);
                    if (!versions.contains(version)) {
                        versions.add(version);
                    }
                }
                default ->
                        throw new QmpException(
                                "Unable to set TLS session priority "
                                        + priority
                                        + ": '"
                                        + word
                                        + "' is not supported");
            }
        }
        if (versions.isEmpty()) {
            throw new QmpException(
                    "Unable to set TLS session priority " + priority + ": no version is left");
        }
        return versions;
    }
}
