package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The secondary's disk of COLO from outside, beside the installed QEMU: one client writes as the primary does, another
 * one uses the disk as the secondary's guest does, through a checkpoint and a failover.
 */
@Tag("qemu")
class ReplicatedDiskTest {
    private static final String QEMU = Host.qemu();
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final int SIZE = 8 << 20;
    private static final int PIECE = 1 << 20;

    @TempDir Path directory;

    private final class Secondary implements AutoCloseable {
        private final Path home;
        private final ProbedMonitor monitor;
        private final NbdClient primary;
        private final NbdClient guest;
        private final List<String> seen = new ArrayList<>();

        Secondary(String program, String name) throws IOException {
            home = Files.createDirectory(directory.resolve(name));
            for (String image : List.of("parent", "hidden", "active")) {
                String path = home.resolve(image).toString();
                Host.run("qemu-img", "create", "-q", "-f", "qcow2", path, Integer.toString(SIZE));
            }
            monitor =
                    ProbedMonitor.start(
                            program,
                            "-machine",
                            "none",
                            "-nodefaults",
                            "-display",
                            "none",
                            "-drive",
                            "if=none,id=parent0,driver=qcow2,file.filename="
                                    + home.resolve("parent"),
                            "-drive",
                            "if=none,id=childs0,driver=replication,mode=secondary,top-id=colo-disk0,"
                                + "file.driver=qcow2,file.file.filename="
                                    + home.resolve("active")
                                    + ",file.backing.driver=qcow2,file.backing.file.filename="
                                    + home.resolve("hidden")
                                    + ",file.backing.backing=parent0",
                            "-drive",
                            "if=none,id=colo-disk0,driver=quorum,read-pattern=fifo,"
                                    + "vote-threshold=1,children.0=childs0");
            Path socket = home.resolve("nbd");
            execute(
                    "nbd-server-start",
                    "{'addr': {'type': 'unix', 'data': {'path': '%s'}}}".formatted(socket));
            execute("nbd-server-add", "{'device': 'parent0', 'writable': true}");
            execute("nbd-server-add", "{'device': 'colo-disk0', 'writable': true}");
            primary = new NbdClient(socket, "parent0", LIMIT);
            guest = new NbdClient(socket, "colo-disk0", LIMIT);
        }

        private JsonValue execute(String command, String arguments) {
            return monitor.execute(command, arguments);
        }

        private static void write(NbdClient disk, int offset, int length, int value)
                throws IOException {
            byte[] data = new byte[length];
            Arrays.fill(data, (byte) value);
            assertEquals(0, disk.request(NbdClient.Command.WRITE, offset, length, data).error());
        }

        /** What is in the disk, as runs of equal bytes. */
        private static String content(NbdClient disk) throws IOException {
            StringBuilder runs = new StringBuilder();
            int value = -1;
            for (int at = 0; at < SIZE; at += PIECE) {
                NbdClient.Answer answer =
                        disk.request(NbdClient.Command.READ, at, PIECE, new byte[0]);
                assertEquals(0, answer.error());
                for (int i = 0; i < PIECE; i++) {
                    if (answer.data()[i] != value) {
                        value = answer.data()[i];
                        runs.append(at + i).append(": ").append(value).append("; ");
                    }
                }
            }
            return runs.toString();
        }

        private void look() throws IOException {
            seen.add("guest " + content(guest));
            seen.add("primary " + content(primary));
        }

        /** Writes as the primary all over the disk while the guest looks again and again. */
        private void disturb() throws IOException, InterruptedException {
            String before = content(guest);
            AtomicReference<Throwable> failure = new AtomicReference<>();
            Thread writer =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        Random random = new Random(5);
                                        try {
                                            for (int i = 0; i < 150; i++) {
                                                int length = 512 * (1 + random.nextInt(300));
                                                int offset = random.nextInt(SIZE - length) & ~511;
                                                write(primary, offset, length, 10 + i % 90);
                                            }
                                        } catch (IOException | AssertionError e) {
                                            failure.set(e);
                                        }
                                    });
            while (writer.isAlive()) {
                assertEquals(before, content(guest));
            }
            writer.join();
            assertNull(failure.get());
        }

        /** What is seen from outside, step by step. */
        List<String> live() throws IOException, InterruptedException {
            for (int at = 0; at < SIZE; at += PIECE) {
                write(primary, at, PIECE, 1);
            }
            seen.add(
                    execute("xen-set-replication", "{'enable': true, 'primary': false}")
                            .toString());
            write(primary, 100_352, 51_200, 2);
            primary.request(NbdClient.Command.WRITE_ZEROES, 4 << 20, 65536, new byte[0]);
            write(guest, 307_200, 71_680, 3);
            look();
            disturb();
            look();
            seen.add(execute("xen-colo-do-checkpoint", "{}").toString());
            look();
            write(guest, 2 << 20, 4096, 4);
            disturb();
            seen.add(execute("query-xen-replication-status", "{}").toString());
            write(guest, 3 << 20, 512, 5);
            primary.close();
            execute("nbd-server-remove", "{'name': 'parent0', 'mode': 'hard'}");
            execute("xen-set-replication", "{'enable': false, 'primary': false, 'failover': true}");
            write(guest, (2 << 20) + 8192, 512, 6);
            Host.await(
                    "the disk is written back",
                    LIMIT,
                    () ->
                            execute("query-xen-replication-status", "{}")
                                    .toString()
                                    .contains("false"));
            seen.add("guest " + content(guest));
            guest.close();
            execute("quit", "{}");
            monitor.close();
            return seen;
        }

        @Override
        public void close() {
            monitor.close();
        }
    }

    @Test
    void theSecondarySeesWhatQemusDoes() throws Exception {
        Host.assumeProgram(QEMU);
        try (Secondary ours = new Secondary(Host.binary().toString(), "ours");
                Secondary theirs = new Secondary(QEMU, "theirs")) {
            List<String> expected = theirs.live();
            assertTrue(expected.getFirst().contains("{}"), expected::toString);
            assertEquals(expected, ours.live());
        }
    }
}
