package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/** The floppy drive as a guest's driver uses it: by DMA and by hand, on diskettes that come and go. */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class FloppyTest {
    private static final int SECTOR = 512;
    private static final int SIZE = 2880 * SECTOR;
    private static final int BUFFER = 0x8000;
    private static final int DOR = 0x3f2;
    private static final int MSR = 0x3f4;
    private static final int FIFO = 0x3f5;

    /** The modes of the DMA channel, by the direction seen from memory. */
    private static final int TO_MEMORY = 0x46;

    private static final int FROM_MEMORY = 0x4a;

    @TempDir private Path directory;
    private byte[] content;
    private Path image;

    @BeforeEach
    void write() throws IOException {
        content = new byte[SIZE];
        new Random(82078).nextBytes(content);
        image = directory.resolve("diskette");
        Files.write(image, content);
    }

    /** A driver of the first drive. */
    private record Driver(QtestMachine machine) {
        /** The bytes of a command; the result once there is one. */
        List<Integer> command(int... bytes) {
            send(bytes);
            return result();
        }

        void send(int... bytes) {
            for (int b : bytes) {
                assertEquals(0x80, machine.inb(MSR) & 0xc0, "it takes the next byte");
                machine.outb(FIFO, b);
            }
        }

        private int ready() {
            while (true) {
                int status = machine.inb(MSR);
                if ((status & 0x80) != 0) {
                    return status;
                }
                Thread.onSpinWait();
            }
        }

        List<Integer> result() {
            List<Integer> bytes = new ArrayList<>();
            while ((ready() & 0x40) != 0) {
                bytes.add(machine.inb(FIFO));
            }
            return bytes;
        }

        void start() {
            machine.outb(DOR, 0);
            machine.outb(DOR, 0x1c);
            for (int i = 0; i < 4; i++) {
                command(0x08);
            }
        }

        /** Seeks and hears that it is done. */
        List<Integer> seek(int track) {
            command(0x0f, 0, track);
            return command(0x08);
        }

        void program(int mode, int length) {
            int[][] steps = {
                {0x0a, 0x06},
                {0x0c, 0},
                {0x0b, mode},
                {0x04, BUFFER & 0xff},
                {0x04, BUFFER >> 8},
                {0x81, 0},
                {0x05, length - 1 & 0xff},
                {0x05, length - 1 >> 8},
                {0x0a, 0x02}
            };
            for (int[] s : steps) {
                machine.outb(s[0], s[1]);
            }
        }

        /** Moves sectors of one track, or of both sides with the option of the command for that, by DMA. */
        List<Integer> move(int command, int mode, int track, int head, int sector, int bytes) {
            program(mode, bytes);
            return command(command, head << 2, track, head, sector, 2, 18, 0x1b, 0xff);
        }

        byte[] memory(int length) {
            String hex = machine.ask("read " + BUFFER + " " + length).substring("OK 0x".length());
            return HexFormat.of().parseHex(hex);
        }

        void memory(byte[] data) {
            machine.tell(
                    "write %d %d 0x%s"
                            .formatted(BUFFER, data.length, HexFormat.of().formatHex(data)));
        }
    }

    private String drive(String more) {
        return "if=floppy,format=raw,file=" + image + more;
    }

    private byte[] sectors(int from, int count) {
        return Arrays.copyOfRange(content, from * SECTOR, (from + count) * SECTOR);
    }

    /** Everything whose result a driver sees, and the diskette afterwards. */
    private List<Object> session(QtestMachine machine) throws IOException {
        Driver d = new Driver(machine);
        List<Object> seen = new ArrayList<>();
        machine.tell("irq_intercept_in ioapic");
        d.start();
        seen.add(machine.inb(0x3f7));
        seen.add(d.seek(2));
        seen.add(machine.inb(0x3f7));
        seen.add(d.move(0xe6, TO_MEMORY, 2, 0, 17, 4 * SECTOR));
        seen.add(HexFormat.of().formatHex(d.memory(4 * SECTOR)));
        seen.add(machine.inb(0x05) | machine.inb(0x05) << 8);
        seen.add(machine.inb(0x08) & 4);
        d.memory(sectors(100, 3));
        seen.add(d.move(0xc5, FROM_MEMORY, 40, 1, 5, 3 * SECTOR));
        seen.add(d.move(0xc5, FROM_MEMORY, 40, 1, 9, 700));
        seen.add(d.move(0x46, TO_MEMORY, 79, 1, 18, 2 * SECTOR));
        seen.add(d.move(0x46, TO_MEMORY, 80, 0, 19, SECTOR));
        seen.add(d.move(0x46, TO_MEMORY, 99, 0, 1, SECTOR));
        seen.add(d.command(0x16, 0, 3, 0, 1, 2, 9, 0x1b, 0xff));
        seen.add(d.command(0x0e));
        machine.outb(0x3f7, 2);
        seen.add(d.move(0x46, TO_MEMORY, 0, 0, 1, SECTOR));
        machine.outb(0x3f7, 0);
        d.command(0x03, 0xdf, 0x03);
        d.send(0x46, 0, 1, 0, 1, 2, 2, 0x1b, 0xff);
        for (int i = 0; i < 2 * SECTOR; i++) {
            seen.add(d.ready());
            seen.add(machine.inb(FIFO));
        }
        seen.add(machine.irq(6));
        seen.add(d.result());
        seen.add(machine.irq(6));
        d.send(0xc5, 0, 1, 0, 3, 2, 3, 0x1b, 0xff);
        for (int i = 0; i < 4 * SECTOR; i++) {
            d.ready();
            machine.outb(FIFO, i * 7 & 0xff);
        }
        seen.add(d.result());
        seen.add(machine.execute("eject", "{\"device\": \"floppy0\"}").toString());
        seen.add(machine.inb(0x3f7));
        seen.add(d.command(0x46, 0, 1, 0, 1, 2, 2, 0x1b, 0xff));
        assertEquals(0, machine.terminate());
        seen.add(HexFormat.of().formatHex(Files.readAllBytes(image)));
        return seen;
    }

    @Test
    @Tag("qemu")
    void worksLikeQemus() throws IOException {
        Host.assumeProgram(Host.qemu());
        List<Object> theirs;
        try (QtestMachine qemu = QtestMachine.qemu(directory, "-drive", drive(""))) {
            theirs = session(qemu);
        }
        Files.write(image, content);
        try (QtestMachine ours = QtestMachine.ours(directory, "-drive", drive(""))) {
            assertEquals(theirs, session(ours));
        }
    }

    @Test
    void formatsATrack() throws IOException {
        try (QtestMachine machine = QtestMachine.ours(directory, "-drive", drive(""))) {
            Driver d = new Driver(machine);
            d.start();
            byte[] marks = new byte[18 * 4];
            for (int i = 0; i < 18; i++) {
                byte[] mark = {5, 1, (byte) (i + 1), 2};
                System.arraycopy(mark, 0, marks, i * 4, 4);
            }
            d.memory(marks);
            d.program(FROM_MEMORY, marks.length);
            assertEquals(0, d.command(0x4d, 4, 2, 18, 0x54, 0xf6).getFirst() & 0xc0);
            assertEquals(0, machine.terminate());
        }
        int start = (5 * 2 + 1) * 18 * SECTOR;
        Arrays.fill(content, start, start + 18 * SECTOR, (byte) 0xf6);
        assertArrayEquals(content, Files.readAllBytes(image));
    }

    @Test
    void scansForWhatTheGuestHas() {
        try (QtestMachine machine = QtestMachine.ours(directory, "-drive", drive(""))) {
            Driver d = new Driver(machine);
            d.start();
            byte[] wanted = sectors(0, 3);
            wanted[2 * SECTOR - 1]++;
            wanted[3]++;
            d.memory(wanted);
            List<Integer> r = d.move(0x51, FROM_MEMORY, 0, 0, 1, 3 * SECTOR);
            assertEquals(List.of(0, 0, 0x08, 0, 0, 4), r.subList(0, 6), "the third is equal");
            wanted[2 * SECTOR + 9]++;
            d.memory(wanted);
            r = d.move(0x51, FROM_MEMORY, 0, 0, 1, 3 * SECTOR);
            assertEquals(0x04, r.get(2), "none is");
        }
    }

    @Test
    void aProtectedDisketteIsNotWritten() throws IOException {
        try (QtestMachine machine =
                QtestMachine.ours(directory, "-drive", drive(",read-only=on"))) {
            Driver d = new Driver(machine);
            d.start();
            assertEquals(0x40, d.command(0x04, 0).getFirst() & 0x40);
            List<Integer> r = d.move(0xc5, FROM_MEMORY, 0, 0, 1, SECTOR);
            assertEquals(List.of(0x60, 0x02), r.subList(0, 2), "not writable");
        }
        assertArrayEquals(content, Files.readAllBytes(image));
    }

    @Test
    void fetchesOnAfterAMigration() throws IOException {
        Path state = directory.resolve("state");
        byte[] fetched = new byte[4 * SECTOR];
        try (QtestMachine machine = QtestMachine.ours(directory, "-drive", drive(""))) {
            Driver d = new Driver(machine);
            d.start();
            d.command(0x03, 0xdf, 0x03);
            d.send(0x46, 0, 0, 0, 1, 2, 4, 0x1b, 0xff);
            for (int i = 0; i < 700; i++) {
                d.ready();
                fetched[i] = (byte) machine.inb(FIFO);
            }
            machine.execute("migrate", "{\"uri\": \"file:" + state + "\"}");
            machine.event("STOP");
            while (!machine.execute("query-migrate").toString().contains("completed")) {
                Thread.onSpinWait();
            }
        }
        try (QtestMachine machine =
                QtestMachine.ours(directory, "-drive", drive(""), "-incoming", "file:" + state)) {
            machine.event("RESUME");
            Driver d = new Driver(machine);
            for (int i = 700; i < fetched.length; i++) {
                d.ready();
                fetched[i] = (byte) machine.inb(FIFO);
            }
            assertEquals(List.of(0, 0, 0), d.result().subList(0, 3));
        }
        assertArrayEquals(sectors(0, 4), fetched);
    }

    @Test
    void twoDrivesAndWhatIsRefused() {
        try (QtestMachine machine =
                QtestMachine.ours(
                        directory,
                        "-nodefaults",
                        "-device",
                        "floppy,drive-type=120",
                        "-device",
                        "floppy,id=b")) {
            machine.outb(0x70, 0x10);
            assertEquals(0x25, machine.inb(0x71), "1.2 MB and 2.88 MB");
            machine.outb(0x70, 0x14);
            assertEquals(0x47, machine.inb(0x71), "two drives");
            machine.execute(
                    "blockdev-change-medium",
                    "{\"id\": \"b\", \"filename\": \"" + image + "\", \"format\": \"raw\"}");
            Driver d = new Driver(machine);
            d.start();
            d.program(TO_MEMORY, SECTOR);
            List<Integer> r = d.command(0x46, 1, 3, 0, 1, 2, 18, 0x1b, 0xff);
            assertEquals(0x21, r.getFirst(), "drive 1, after a seek");
            assertArrayEquals(sectors(3 * 36, 1), d.memory(SECTOR));
        }
        for (String[] wrong :
                new String[][] {
                    {"floppy,unit=2", "Can't create floppy unit 2, bus supports only 2 units"},
                    {"floppy,unit=0", "Floppy unit 0 is in use"},
                    {
                        "floppy,physical_block_size=1024",
                        "Physical and logical block size must be 512 for floppy"
                    }
                }) {
            Throwable e =
                    assertThrows(
                            Throwable.class,
                            () ->
                                    QtestMachine.ours(
                                                    directory, "-drive", drive(""), "-device",
                                                    wrong[0])
                                            .close());
            assertTrue(e.getMessage().contains(wrong[1]), e.getMessage());
        }
    }
}
