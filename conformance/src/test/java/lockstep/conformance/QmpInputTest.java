package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/** Good and bad input for a QMP monitor: QEMU and this monitor answer the same bytes. */
@Tag("qemu")
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class QmpInputTest {
    private static final String QEMU = Host.qemu();

    @TempDir static Path directory;
    private static MonitorProcess qemu;
    private static MonitorProcess ours;
    private static List<byte[]> rows;

    @BeforeAll
    static void start() throws IOException {
        Host.assumeProgram(QEMU);
        qemu = new MonitorProcess(QEMU, directory);
        ours = new MonitorProcess(Host.binary().toString(), directory);
        rows = rows();
    }

    @AfterAll
    static void stop() {
        for (MonitorProcess p : new MonitorProcess[] {qemu, ours}) {
            if (p != null) {
                p.close();
            }
        }
    }

    private static List<byte[]> rows() throws IOException {
        try (InputStream in = QmpInputTest.class.getResourceAsStream("qmp-input.txt")) {
            String text =
                    new String(
                            Objects.requireNonNull(in).readAllBytes(), StandardCharsets.US_ASCII);
            List<byte[]> list = new ArrayList<>();
            text.lines().filter(l -> !l.startsWith("#")).forEach(l -> list.add(unescaped(l)));
            return list;
        }
    }

    private static byte[] unescaped(String line) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (int i = 0; i < line.length(); i++) {
            char c = line.charAt(i);
            if (c != '\\') {
                out.write(c);
            } else if (line.charAt(i + 1) == '\\') {
                out.write('\\');
                i++;
            } else {
                out.write(Integer.parseInt(line.substring(i + 2, i + 4), 16));
                i += 3;
            }
        }
        return out.toByteArray();
    }

    private static void compare(byte[] input, int piece) throws IOException {
        assertEquals(
                qemu.answers(input, piece),
                ours.answers(input, piece),
                () -> new String(input, StandardCharsets.ISO_8859_1));
    }

    @Test
    void everyRow() throws IOException {
        for (byte[] row : rows) {
            compare(row, row.length);
        }
    }

    @Test
    void depthOfNesting() throws IOException {
        for (int depth : new int[] {1022, 1023, 1024, 1030}) {
            String id = "[".repeat(depth) + "]".repeat(depth);
            compare(MonitorProcess.bytes("{\"execute\":\"query-name\",\"id\":" + id + "}"), 4096);
        }
        compare(MonitorProcess.bytes("[".repeat(1025)), 4096);
        compare(MonitorProcess.bytes("{\"a\":".repeat(1025)), 4096);
    }

    @Test
    void allRowsInOneStreamCutAnywhere() throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] row : rows) {
            all.write(row);
            all.write('\n');
        }
        for (int piece : new int[] {1, 2, 3, 7, 64, 4096, 65536}) {
            compare(all.toByteArray(), piece);
        }
    }

    @Test
    void rowsWithMistakes() throws IOException {
        Random random = new Random(1);
        for (int stream = 0; stream < 40; stream++) {
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            for (int i = 0; i < 100; i++) {
                text.write(mutated(rows.get(random.nextInt(rows.size())), random));
                text.write(random.nextInt(3) == 0 ? 0xff : '\n');
            }
            compare(text.toByteArray(), 4096);
        }
    }

    private static byte[] mutated(byte[] row, Random random) {
        String alphabet = "{}[]:,\"'\\01-.eE /tn\n\u00ff\u00c3\u0000";
        StringBuilder text = new StringBuilder(new String(row, StandardCharsets.ISO_8859_1));
        for (int n = random.nextInt(4); n > 0 && !text.isEmpty(); n--) {
            int at = random.nextInt(text.length());
            switch (random.nextInt(3)) {
                case 0 -> text.deleteCharAt(at);
                case 1 -> text.setCharAt(at, (char) random.nextInt(256));
                default -> text.insert(at, alphabet.charAt(random.nextInt(alphabet.length())));
            }
        }
        return MonitorProcess.bytes(text.toString());
    }
}
