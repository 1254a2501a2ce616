package lockstep.protect;

import lockstep.api.ChardevInfo;
import lockstep.api.Client;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A socket character device, as query-chardev describes it.
 *
 * @param connected whether somebody is there
 * @param local address and port of its own, behind the protocol's name
 * @param peer those of the other end; empty where nobody is
 */
record Channel(boolean connected, String local, String peer) {
    private static final Pattern TEXT =
            Pattern.compile("(disconnected:)?[a-z0-9]+:(.+?)(?:,server=on)?(?: <-> (.+))?");

    /** All of a machine's. */
    static Map<String, Channel> of(Client machine) throws QmpException, IOException {
        Map<String, Channel> found = new HashMap<>();
        for (ChardevInfo device : machine.queryChardev()) {
            Matcher m = TEXT.matcher(device.filename());
            if (m.matches()) {
                String peer = m.group(3);
                found.put(
                        device.label(),
                        new Channel(
                                m.group(1) == null,
                                address(m.group(2)),
                                peer == null ? "" : address(peer)));
            } else {
                found.put(device.label(), new Channel(true, "", ""));
            }
        }
        return found;
    }

    /** An IPv4 address may be written as one of IPv6. */
    private static String address(String text) {
        return text.replaceAll("\\[(?:::ffff:)?|\\]", "");
    }

    /** Whether it is where somebody who is to connect to {@code host} and {@code port} gets. */
    boolean at(String host, String port) {
        return connected ? local.endsWith(":" + port) : local.equals(address(host) + ":" + port);
    }

    /** Whether one of those is the other end of this one. */
    boolean reaches(Map<String, Channel> others) {
        return connected
                && others.values().stream()
                        .anyMatch(o -> o.connected && o.local.equals(peer) && o.peer.equals(local));
    }

    /** Whether one of those has connected to this one's address, and waits because somebody else is there. */
    boolean keepsWaiting(Map<String, Channel> others) {
        return connected
                && !reaches(others)
                && others.values().stream().anyMatch(o -> o.connected && o.peer.equals(local));
    }
}
