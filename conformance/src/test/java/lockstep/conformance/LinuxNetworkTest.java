package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Random;

/** A Linux guest serves its disk by TCP through its e1000, and moves to another process while it does. */
@Tag("tun")
@Tag("root")
@Timeout(1800)
@ParameterizedClass
@ValueSource(strings = {"jvm", "kvm"})
class LinuxNetworkTest {
    private static final String ADDRESS = "10.77.1.50";

    /** What is read between two moves. */
    private static final int PART = 2 << 20;

    /** What runs the guest. */
    @Parameter String accelerator = "";

    @TempDir Path directory;

    @AutoClose private @Nullable GuestNetwork network;

    @BeforeEach
    void setUpNetwork() {
        LinuxKvm.assumeRuns(accelerator);
        LinuxTest.assumeAskedFor();
        Host.assumeNetworkRoot();
        Host.assumeProgram("nc");
        network = new GuestNetwork("linux", "10.77.1.1/24");
    }

    private List<String> command(String... words) {
        return Objects.requireNonNull(network).command(words);
    }

    private LinuxMachine machine(int number, LinuxGuest guest, boolean qemu, String... more)
            throws IOException {
        Path initrd = directory.resolve("initrd");
        if (!Files.exists(initrd)) {
            guest.writeInitrd(
                    initrd, "nc -l -p 9000 < /dev/sda &\n", "sd_mod", "ata_piix", "e1000");
        }
        List<String> all = new ArrayList<>(List.of("-M", "pc-i440fx-7.2", "-m", "256", "-kernel"));
        all.addAll(List.of(guest.kernel().toString(), "-initrd", initrd.toString()));
        all.addAll(List.of("-append", "console=ttyS0 panic=-1 guest.ip=" + ADDRESS + "/24"));
        all.addAll(
                List.of(
                        "-drive",
                        "if=ide,format=raw,file.locking=off,file.driver=file,file.filename="
                                + directory.resolve("disk"),
                        "-netdev",
                        "tap,id=n0,ifname=tap" + number % 2 + ",script=no,downscript=no",
                        "-device",
                        "e1000,netdev=n0,romfile="));
        all.addAll(List.of(more));
        String name = "machine" + number;
        return qemu
                ? LinuxMachine.qemu(accelerator, directory, name, command(), all)
                : new LinuxMachine(accelerator, directory, name, command(), all);
    }

    @Test
    void aTransferGoesOnWhileTheGuestMoves() throws Exception {
        transfer(false);
    }

    @Test
    @Tag("qemu")
    void aTransferGoesOnWhileTheGuestComesFromQemu() throws Exception {
        Host.assumeProgram(Host.qemu());
        transfer(true);
    }

    private void transfer(boolean fromQemu) throws Exception {
        LinuxGuest guest = LinuxGuest.usual();
        byte[] content = new byte[4 * PART];
        new Random(2).nextBytes(content);
        Files.write(directory.resolve("disk"), content);
        MessageDigest received = MessageDigest.getInstance("SHA-256");
        Path door = directory.resolve("door");
        Path saved = directory.resolve("saved");
        try (LinuxMachine first = machine(0, guest, fromQemu).up()) {
            Process client =
                    new ProcessBuilder(command("nc", "--recv-only", ADDRESS, "9000"))
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            try (InputStream in = new DigestInputStream(client.getInputStream(), received);
                    LinuxMachine second = machine(1, guest, false, "-incoming", "unix:" + door)) {
                read(in, PART);
                second.awaitDoor(door);
                leave(first, "unix:" + door);
                try (Monitor monitor = second.monitor()) {
                    Host.await(
                            "the guest runs there",
                            LinuxMachine.LONG,
                            () -> status(monitor).contains("\"running\""));
                    read(in, PART);
                    monitor.execute("{\"execute\": \"stop\"}");
                    monitor.execute("{\"execute\": \"cont\"}");
                    read(in, PART);
                    monitor.execute("{\"execute\": \"stop\"}");
                }
                leave(second, "file:" + saved);
                try (LinuxMachine third = machine(2, guest, false, "-incoming", "file:" + saved);
                        Monitor monitor = third.monitor()) {
                    Host.await(
                            "it has come back",
                            LinuxMachine.LONG,
                            () -> status(monitor).contains("\"paused\""));
                    monitor.execute("{\"execute\": \"cont\"}");
                    read(in, PART);
                    assertEquals(-1, in.read(), "more than was sent");
                }
            } finally {
                client.destroyForcibly();
            }
        }
        assertEquals(
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content)),
                HexFormat.of().formatHex(received.digest()));
    }

    private static void read(InputStream in, int bytes) throws IOException {
        assertEquals(bytes, in.readNBytes(bytes).length);
    }

    private static String status(Monitor monitor) {
        return monitor.execute("{\"execute\": \"query-status\"}");
    }

    /** The guest goes; it sends on until the last moment, as its client does not wait. */
    private static void leave(LinuxMachine machine, String where) {
        try (Monitor monitor = machine.monitor()) {
            monitor.execute(
                    "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"" + where + "\"}}");
            LinuxTest.awaitMigration(monitor);
            monitor.send("{\"execute\": \"quit\"}");
            assertEquals(0, machine.awaitEnd());
        }
    }
}
