package lockstep.conformance;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A network namespace of a test's own, with a bridge that has {@code tap0} and {@code tap1}. Needs root. */
final class GuestNetwork implements AutoCloseable {
    private final String namespace;

    /**
     * Sets it up.
     *
     * @param name begins the namespace's name
     * @param address the bridge's, with the length of its prefix
     */
    GuestNetwork(String name, String address) {
        namespace = name + "-" + ProcessHandle.current().pid();
        Host.run("ip", "netns", "add", namespace);
        inside("ip", "link", "add", "br0", "address", "52:54:00:00:00:01", "type", "bridge");
        inside("ip", "addr", "add", address, "dev", "br0");
        inside("ip", "link", "set", "br0", "up");
        for (String tap : List.of("tap0", "tap1")) {
            inside("ip", "tuntap", "add", tap, "mode", "tap");
            inside("ip", "link", "set", tap, "up", "master", "br0");
        }
    }

    private void inside(String... words) {
        Host.run(command(words));
    }

    /** A command that is run in it. */
    List<String> command(String... words) {
        List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", namespace));
        all.addAll(List.of(words));
        return all;
    }

    /** Removes it. */
    @Override
    public void close() {
        if (Files.exists(Path.of("/run/netns", namespace))) {
            Host.run("ip", "netns", "del", namespace);
        }
    }
}
