package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** What the human monitor shows of user networks, and what it answers to changes of forwardings, beside QEMU. */
@Tag("qemu")
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class UserNetworkBesideQemuTest {
    private static final List<String> COMMANDS =
            List.of(
                    "info network",
                    "info usernet",
                    "hostfwd_add tcp:127.0.0.1:0-:22",
                    "hostfwd_add udp:127.0.0.1:0-10.0.2.16:22",
                    "hostfwd_add nosuch tcp::0-:22",
                    "hostfwd_add tcp:foo",
                    "hostfwd_add tcp:192.0.2.1:1-:2",
                    "info usernet",
                    "hostfwd_remove tcp::1",
                    "hostfwd_remove nosuch tcp::1",
                    "hostfwd_remove foo",
                    "netdev_add user,id=more,net=192.168.7.0/24,restrict=on",
                    "netdev_add user,id=odd,dns=10.0.2.2",
                    "info network",
                    "info usernet",
                    "netdev_del more",
                    "info network");

    @TempDir Path directory;

    @BeforeEach
    void assumePeer() {
        Host.assumeProgram(Host.qemu());
    }

    private static String talk(QtestMachine machine) {
        return COMMANDS.stream()
                .map(c -> c + "\n" + machine.human(c))
                .collect(Collectors.joining("\n"))
                // What an id that nobody chose ends in, descriptors and ports that the kernel
                // chose.
                .replaceAll("#net(\\d+)\\d\\d", "#net$1??")
                .replaceAll("(HOST_FORWARD\\]) +\\d+( +[0-9.]+) +\\d+", "$1 ?$2 ?");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "-M pc",
                "-M none",
                "-M pc -nodefaults",
                "-M pc -nic user,net=10.9.0.0/16",
                "-M pc -netdev user,id=u,hostfwd=tcp:127.0.0.1:0-:1,hostfwd=udp:127.0.0.1:0-:2",
                "-M pc -net nic,macaddr=52:54:00:00:00:09 -net user,id=u"
            })
    void isShownAlike(String options) {
        String[] words = options.split(" ");
        try (QtestMachine qemu = QtestMachine.qemu(directory, words);
                QtestMachine ours = QtestMachine.ours(directory, words)) {
            assertEquals(talk(qemu), talk(ours));
        }
    }

    @Test
    void theCardThatIsThereByDefaultIsCountedAmongTheBoards() {
        try (QtestMachine qemu = QtestMachine.qemu(directory, "-M", "pc");
                QtestMachine ours = QtestMachine.ours(directory, "-M", "pc")) {
            assertEquals(devices(qemu), devices(ours));
        }
    }

    private static SortedSet<String> devices(QtestMachine machine) {
        SortedSet<String> all = new TreeSet<>();
        JsonObject reply = machine.execute("qom-list", "{\"path\": \"/machine/unattached\"}");
        if (reply.get("return") instanceof JsonArray children) {
            for (JsonValue entry : children) {
                JsonObject child = (JsonObject) entry;
                String name = String.valueOf(child.get("name"));
                if (name.contains("device[")) {
                    all.add(name + " " + child.get("type"));
                }
            }
        }
        return all;
    }
}
