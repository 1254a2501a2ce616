package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Requests that a user has a running machine make, by the human monitor's {@code qemu-io}, and what
 * is told of an image that is made.
 */
class DiskCommandsTest {
    private static final Pattern SPEED = Pattern.compile("; .*\\)");

    @TempDir Path directory;

    @Test
    void readsAndWritesADisk() throws Exception {
        Path image = directory.resolve("disk.raw");
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(1 << 20);
        }
        StringBuilder input = new StringBuilder();
        for (String command :
                List.of(
                        "d write -P 0x41 64k 3k",
                        "d write -P 300 0 1k",
                        "d read -v 67k 16",
                        "d read -v -P 65 64k 1k",
                        "d read -P 65 66k 2k",
                        "d read -qP65 -s512 -l 16 64k 1k",
                        "d write 0",
                        "d write 2M 512",
                        "d write -zq 65k 1k",
                        "d alloc 0 1M",
                        "node write -q -P1 0 512",
                        "d aio_write -P 9 1000k 512",
                        "d aio_flush",
                        "d length",
                        "d nonsense",
                        "closed write 0 512")) {
            int space = command.indexOf(' ');
            input.append("{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":");
            input.append("\"qemu-io ").append(command, 0, space).append(" \\\"");
            input.append(command.substring(space + 1)).append("\\\"\"}}\n");
        }
        Path overlay = directory.resolve("overlay");
        input.append("{\"execute\":\"blockdev-snapshot-sync\",\"arguments\":{\"device\":\"d\",")
                .append("\"snapshot-file\":\"" + overlay + "\"}}\n");
        String answers;
        try (MonitorProcess ours =
                new MonitorProcess(
                        Host.binary().toString(),
                        directory,
                        "-drive",
                        "if=none,id=d,format=raw,node-name=node,file=" + image,
                        "-drive",
                        "if=none,id=closed,format=raw,read-only=on,file=" + image)) {
            answers = ours.answers(input.toString().getBytes(StandardCharsets.UTF_8), 1 << 16);
            Host.await(
                    "the last answer",
                    Duration.ofSeconds(20),
                    () -> Host.text(directory.resolve("out")).contains("Formatting"));
        }
        assertTrue(answers.contains("Block node is read-only\\r\\n"), answers);
        String letters = "41 ".repeat(16).strip();
        StringBuilder dump = new StringBuilder();
        for (int at = 0x10000; at < 0x10400; at += 16) {
            dump.append("%08x:  %s  AAAAAAAAAAAAAAAA\n".formatted(at, letters));
        }
        assertEquals(
                """
                wrote 3072/3072 bytes at offset 65536
                3 KiB, 1 ops
                300 is not a valid pattern byte
                00010c00:  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
                read 16/16 bytes at offset 68608
                16 bytes, 1 ops
                """
                        + dump
                        + """
                        read 1024/1024 bytes at offset 65536
                        1 KiB, 1 ops
                        Pattern verification failed at offset 67584, 2048 bytes
                        read 2048/2048 bytes at offset 67584
                        2 KiB, 1 ops
                        bad argument count 1 to write, expected at least 2 arguments
                        write failed: Input/output error
                        1048576/1048576 bytes allocated at offset 0 bytes
                        wrote 512/512 bytes at offset 1024000
                        512 bytes, 1 ops
                        1 MiB
                        command "nonsense" not found
                        """
                        + "Formatting '"
                        + overlay
                        + "', fmt=qcow2 cluster_size=65536 extended_l2=off compression_type=zlib"
                        + " size=1048576 backing_file="
                        + image
                        + " backing_fmt=raw lazy_refcounts=off refcount_bits=16\n",
                SPEED.matcher(Files.readString(directory.resolve("out"))).replaceAll(""));
        byte[] bytes = Files.readAllBytes(image);
        assertEquals(
                List.of(1, 65, 0, 65, 9),
                List.of(
                        (int) bytes[511],
                        (int) bytes[65536],
                        (int) bytes[66560],
                        (int) bytes[67584],
                        (int) bytes[1024000]));
    }
}
