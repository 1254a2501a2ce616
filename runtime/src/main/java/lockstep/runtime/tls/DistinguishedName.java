package lockstep.runtime.tls;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;

import javax.security.auth.x500.X500Principal;

/** Names of certificates as QEMU has them in its rules. */
final class DistinguishedName {
    /** Attributes with a name that RFC 2253 does not give them. */
    private static final Map<String, String> NAMES =
            Map.of(
                    "1.2.840.113549.1.9.1", "EMAIL",
                    "2.5.4.4", "SN",
                    "2.5.4.5", "serialNumber",
                    "2.5.4.12", "title",
                    "2.5.4.42", "givenName");

    private DistinguishedName() {}

    /**
     * The name with its parts in the order in which the certificate has them, such as {@code C=GB,O=Home,CN=laptop}. RFC
     * 2253 writes the last one first; GnuTLS, and so QEMU's authorization, keeps the order.
     */
    static String inOrder(X500Principal name) {
        String reversed = name.getName(X500Principal.RFC2253, NAMES);
        Deque<String> parts = new ArrayDeque<>();
        int start = 0;
        for (int i = 0; i < reversed.length(); i++) {
            char c = reversed.charAt(i);
            if (c == '\\') {
                i++; // the next one stands for itself
            } else if (c == ',') {
                parts.push(reversed.substring(start, i));
                start = i + 1;
            }
        }
        parts.push(reversed.substring(start));
        return String.join(",", parts);
    }
}
