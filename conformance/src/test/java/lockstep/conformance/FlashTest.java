package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;

/** Firmware in flash: {@code -drive if=pflash}, driven over qtest as a guest would. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class FlashTest {
    private static final int SIZE = 64 << 10;
    private static final long TOP = 1L << 32;
    private static final long CHIP = TOP - SIZE;

    @TempDir private Path directory;
    private QtestMachine machine;

    @AfterEach
    void close() {
        if (machine != null) {
            machine.close();
        }
    }

    private static byte[] pattern(int size) {
        byte[] content = new byte[size];
        for (int i = 0; i < size; i++) {
            content[i] = (byte) (i * 7 + (i >> 8));
        }
        return content;
    }

    private Path image(String name, int size) {
        try {
            return Files.write(directory.resolve(name), pattern(size));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String drive(Path file, String more) {
        return "if=pflash,format=raw,file=" + file + more;
    }

    private void start(String... options) {
        machine = QtestMachine.ours(directory, options);
    }

    private int at(long offset) {
        return (int) machine.value("readb " + (CHIP + offset));
    }

    private void to(long offset, int value) {
        machine.tell("writeb " + (CHIP + offset) + ' ' + value);
    }

    @Test
    void theChipsLieBelowFourGibibytesAndTheFirmwaresEndBelowOne() {
        int more = 8 << 10;
        start(
                "-drive",
                drive(image("code", SIZE), ""),
                "-drive",
                drive(image("vars", more), ",unit=1"));
        byte[] expected = pattern(SIZE);
        for (int i = 0; i < SIZE; i += 4093) {
            assertEquals(expected[i] & 0xff, at(i));
            assertEquals(expected[i] & 0xff, machine.value("readb " + (0x100000 - SIZE + i)));
        }
        assertEquals(expected[5] & 0xff, machine.value("readb " + (CHIP - more + 5)));
        String roms = machine.human("info roms");
        assertFalse(roms.contains("mem=rom"), roms);
        assertTrue(
                machine.execute("qom-list", "{\"path\": \"/machine/system.flash1\"}")
                        .toString()
                        .contains("num-blocks"));
    }

    @Test
    void whatTheGuestProgramsIsInTheFile() throws IOException {
        Path file = image("code", SIZE);
        start("-drive", drive(file, ""));
        byte[] expected = pattern(SIZE);
        // One byte; until the array is read again, the chip shows its status.
        to(100, 0x40);
        to(100, 0x12);
        assertEquals(0x80, at(100));
        to(0, 0xff);
        assertEquals(0x12, at(100));
        expected[100] = 0x12;
        // An erase block.
        to(0x2010, 0x20);
        to(0x2010, 0xd0);
        to(0, 0xff);
        Arrays.fill(expected, 0x2000, 0x3000, (byte) 0xff);
        // Four bytes through the buffer, of which nothing is seen before they are confirmed.
        to(0x4100, 0xe8);
        assertEquals(0x80, at(0x4100));
        to(0x4100, 3);
        for (int i = 0; i < 4; i++) {
            to(0x4104 + i, 0xa0 + i);
            expected[0x4104 + i] = (byte) (0xa0 + i);
        }
        to(0x4100, 0xd0);
        to(0, 0xff);
        for (int i = 0; i < SIZE; i += 2) {
            assertEquals(expected[i] & 0xff, at(i), "byte " + i);
        }
        assertEquals(0, machine.terminate());
        assertArrayEquals(expected, Files.readAllBytes(file));
    }

    @Test
    void aQueryTellsWhatChipItIs() {
        start("-drive", drive(image("code", SIZE), ""));
        to(0x55, 0x98);
        assertEquals('Q', at(0x10));
        assertEquals('R', at(0x11));
        assertEquals('Y', at(0x12));
        assertEquals(16, at(0x27), "2^16 bytes");
        assertEquals(15, at(0x2d), "16 erase blocks");
        assertEquals(0x10, at(0x2f), "of 4096 bytes");
        to(0x55, 0xff);
        machine.execute("system_reset");
        machine.event("RESET");
        assertEquals(pattern(SIZE)[0x10] & 0xff, at(0x10));
    }

    @Test
    void whatWasBegunAndNotConfirmedIsForgotten() {
        start("-drive", drive(image("code", SIZE), ""));
        byte[] expected = pattern(SIZE);
        to(0x300, 0xe8);
        to(0x300, 0);
        to(0x300, 0x77);
        to(0x300, 0xff);
        assertEquals(expected[0x300] & 0xff, at(0x300));
        // Data outside of the buffer are a failure, which the status keeps until it is cleared.
        to(0x300, 0xe8);
        to(0x300, 1);
        to(0x300, 0x77);
        to(0x900, 0x77);
        to(0x300, 0xd0);
        to(0, 0x70);
        assertEquals(0x90, at(0));
        to(0, 0x50);
        assertEquals(expected[0x300] & 0xff, at(0x300));
        assertEquals(expected[0x900] & 0xff, at(0x900));
    }

    @Test
    void aReadOnlyChipRefuses() throws IOException {
        Path file = image("code", SIZE);
        start("-drive", drive(file, ",readonly=on"));
        to(100, 0x10);
        to(100, 0x12);
        assertEquals(0x90, at(100));
        to(0, 0x50);
        to(0x1000, 0x20);
        assertEquals(0xa0, at(0x1000));
        to(0x1000, 0xff);
        machine.terminate();
        assertArrayEquals(pattern(SIZE), Files.readAllBytes(file));
    }

    @Test
    void theOtherEndHasTheContentToo() throws IOException {
        Path here = image("here", SIZE);
        Path there = image("there", SIZE);
        Path state = directory.resolve("state");
        start("-drive", drive(here, ""));
        to(7, 0x40);
        to(7, 0x99);
        to(7, 0x70);
        machine.execute("migrate", "{\"uri\": \"exec:cat > " + state + "\"}");
        while (!machine.execute("query-migrate").toString().contains("completed")) {
            Thread.onSpinWait();
        }
        machine.close();
        start("-drive", drive(there, ""), "-incoming", "exec:cat " + state);
        while (!machine.execute("query-status").toString().contains("running\": true")) {
            Thread.onSpinWait();
        }
        assertEquals(0x80, at(7), "it still shows the status");
        to(7, 0xff);
        assertEquals(0x99, at(7));
        machine.terminate();
        assertEquals((byte) 0x99, Files.readAllBytes(there)[7]);
    }

    @ParameterizedTest
    @CsvSource({
        "5000, '', system firmware block device pflash0 has invalid size 5120",
        "9437184, '', combined size of system firmware exceeds 8388608 bytes",
        "65536, ',unit=1', pflash1 requires pflash0"
    })
    void aFileThatIsNoFirmwareIsRefused(int size, String more, String message) {
        AssertionError e =
                org.junit.jupiter.api.Assertions.assertThrows(
                        AssertionError.class,
                        () -> {
                            try {
                                start("-drive", drive(image("odd", size), more));
                            } catch (UncheckedIOException ended) {
                                throw new AssertionError(ended.getCause().getMessage());
                            }
                        });
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }
}
