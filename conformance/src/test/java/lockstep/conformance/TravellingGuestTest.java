package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;

/**
 * A running guest with disk, display, network and tablet moves from QEMU to Lockstep, back, and to Lockstep
 * again; a client's TCP connection to it goes on all the while.
 */
@Tag("qemu")
@Tag("tun")
@Tag("root")
@Timeout(1200)
class TravellingGuestTest {
    private static final String QEMU = Host.qemu();
    private static final String ADDRESS = "10.77.0.50";

    @TempDir Path directory;

    @AutoClose private @Nullable GuestNetwork network;

    @BeforeEach
    void setUpNetwork() {
        Host.assumeNetworkRoot();
        Host.assumeProgram(QEMU);
        Host.assumeProgram("nc");
        network = new GuestNetwork("travel", "10.77.0.1/24");
    }

    private List<String> command(String... words) {
        return Objects.requireNonNull(network).command(words);
    }

    private Monitor machine(String program, int number, String... more) {
        List<String> words =
                command(
                        program,
                        "-M",
                        "pc-i440fx-7.2",
                        "-accel",
                        Host.accelerator(),
                        "-cpu",
                        "qemu64,kvmclock=on",
                        "-m",
                        "64",
                        "-display",
                        "none",
                        "-serial",
                        "file:" + serial(number),
                        "-device",
                        "piix3-usb-uhci",
                        "-device",
                        "usb-tablet",
                        "-netdev",
                        "tap,id=n0,ifname=tap" + number % 2 + ",script=no,downscript=no",
                        "-device",
                        "e1000,id=e0,netdev=n0,romfile=",
                        "-drive",
                        "if=ide,format=raw,file.driver=file,file.locking=off,file.filename="
                                + directory.resolve("disk.img"),
                        "-qmp",
                        "stdio");
        words.addAll(List.of(more));
        return new Monitor(words);
    }

    private Path serial(int number) {
        return directory.resolve("serial" + number);
    }

    @Test
    void fromQemuAndBackWithAnOpenConnection() throws Exception {
        Files.write(directory.resolve("disk.img"), Guests.echo(new byte[] {10, 77, 0, 50}));
        List<String> programs =
                List.of(QEMU, Host.binary().toString(), QEMU, Host.binary().toString());
        Monitor here = machine(programs.getFirst(), 0);
        try {
            Host.await(
                    "the guest is up",
                    Duration.ofMinutes(5),
                    () -> Host.text(serial(0)).contains("network guest is up"));
            try (EchoClient client = new EchoClient(command("nc", ADDRESS, "7"))) {
                client.exchange("at home");
                for (int i = 1; i < programs.size(); i++) {
                    Path door = directory.resolve("door" + i);
                    Monitor there = machine(programs.get(i), i, "-incoming", "unix:" + door);
                    try {
                        Host.await(
                                "the door is open",
                                Duration.ofMinutes(5),
                                () -> Files.exists(door));
                        move(here, there, door);
                    } catch (RuntimeException | Error e) {
                        there.close();
                        throw e;
                    }
                    here.close();
                    here = there;
                    for (int n = 0; n < 10; n++) {
                        client.exchange("stage " + i + " line " + n);
                    }
                }
            }
        } finally {
            here.close();
        }
    }

    private static void move(Monitor here, Monitor there, Path door) {
        here.execute("{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"unix:" + door + "\"}}");
        String[] status = {""};
        Host.await(
                "the migration ends",
                Duration.ofMinutes(5),
                () -> {
                    status[0] = here.execute("{\"execute\": \"query-migrate\"}");
                    return status[0].contains("\"status\": \"completed\"")
                            || status[0].contains("\"status\": \"failed\"");
                });
        assertEquals(true, status[0].contains("completed"), status[0]);
        Host.await(
                "the guest runs there",
                Duration.ofMinutes(5),
                () ->
                        there.execute("{\"execute\": \"query-status\"}")
                                .contains("\"status\": \"running\""));
        here.send("{\"execute\": \"quit\"}");
    }
}
