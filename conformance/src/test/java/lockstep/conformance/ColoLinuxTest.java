package lockstep.conformance;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * The main job with Debian's Linux: the given scripts start it twice, it sends a stream back to a client and writes it to
 * its disk, one host dies, and the client sees nothing of it. The two kernels differ from the first moment in what they
 * make up for themselves (sequence numbers, timestamps), so this is what the comparison is for; it is printed how often
 * and why the guests had to be made equal.
 */
@Tag("tun")
@Tag("root")
@Timeout(1800)
@ParameterizedClass
@ValueSource(strings = {"jvm", "kvm"})
class ColoLinuxTest {
    private static final String ADDRESS = "10.77.0.50";
    private static final String SERVICES =
            """
            nc -ll -p 7 -e tee /dev/sda &
            nc -ll -p 8 -e cat /dev/sda &
            """;

    /** How much of the stream goes each way before the failover, and again after it. */
    private static final int PART = 1 << 20;

    /** What runs the guest. */
    @Parameter String accelerator = "";

    @TempDir Path directory;

    @BeforeEach
    void machine() {
        LinuxKvm.assumeRuns(accelerator);
        ColoPair.assumePossible();
    }

    @Test
    void theConnectionOutlivesThePrimary() throws IOException {
        try (ColoPair pair = pair()) {
            outlives(pair, pair.primary, pair.secondary, ColoPair.SECONDARY_QMP);
        }
    }

    @Test
    void theConnectionOutlivesTheSecondary() throws IOException {
        LinuxTest.assumeAskedFor();
        try (ColoPair pair = pair()) {
            outlives(pair, pair.secondary, pair.primary, ColoPair.PRIMARY_QMP);
        }
    }

    private ColoPair pair() throws IOException {
        LinuxGuest guest = LinuxGuest.usual();
        Path initrd = directory.resolve("initrd");
        guest.writeInitrd(initrd, SERVICES, "sd_mod", "ata_piix", "e1000");
        String words = "console=ttyS0 panic=-1 guest.ip=" + ADDRESS + "/24";
        return new ColoPair(
                directory.resolve("pair"),
                new byte[0],
                Host.binary(),
                Host.binary(),
                accelerator,
                List.of(
                        "-kernel",
                        guest.kernel().toString(),
                        "-initrd",
                        initrd.toString(),
                        "-append",
                        words));
    }

    private static void outlives(
            ColoPair pair, ColoPair.Side dies, ColoPair.Side survives, int port)
            throws IOException {
        Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
        pair.start();
        pair.protect();
        for (ColoPair.Side side : List.of(pair.primary, pair.secondary)) {
            Host.await(
                    "Linux is up on the " + side.name,
                    LinuxMachine.LONG,
                    () -> {
                        pair.alive(side);
                        return Host.text(side.output).contains(LinuxGuest.UP);
                    });
        }
        try (StreamClient client = new StreamClient(pair.inNamespace("nc", ADDRESS, "7"), 3)) {
            client.awaitMore(1);
            int before = Host.text(pair.primary.errors).length();
            long start = System.nanoTime();
            double together = client.awaitMore(PART);
            double seconds = (System.nanoTime() - start) / 1e9;
            Map<String, Integer> checkpoints =
                    checkpoints(Host.text(pair.primary.errors).substring(before));

            dies.kill();
            pair.ncAnswers(port, survives.name + "-failover");
            client.awaitMore(1);
            double alone = client.awaitMore(PART);
            client.finish();
            client.expectCopy(pair.inNamespace("nc", "--recv-only", ADDRESS, "8"));
            System.out.printf(
                    Locale.ROOT,
                    "BENCH COLO with Linux: echo and disk %.0f KB/s in COLO, %.0f KB/s alone;"
                            + " checkpoints in %.1f s: %s%n",
                    together / 1e3,
                    alone / 1e3,
                    seconds,
                    checkpoints);
        }
        pair.alive(survives);
        survives.kill();
        pair.checkImages();
    }

    /** Counts the checkpoints by what set them off: the first difference since the one before, or else the clock. */
    private static Map<String, Integer> checkpoints(String traces) {
        Map<String, Integer> counts = new TreeMap<>();
        String cause = "";
        for (String line : traces.split("\n")) {
            if (line.startsWith("colo_compare_checkpoint ") && cause.isEmpty()) {
                cause = line.substring(line.indexOf(' ') + 1);
            } else if (line.equals("colo_send_message Send 'checkpoint-request' message")) {
                counts.merge(cause.isEmpty() ? "time" : cause, 1, Integer::sum);
            } else if (line.equals("colo_receive_message Receive 'vmstate-loaded' message")) {
                cause = "";
            }
        }
        return counts;
    }
}
