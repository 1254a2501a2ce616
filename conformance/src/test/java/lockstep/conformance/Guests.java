package lockstep.conformance;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.regex.Pattern;

/** The boot sectors under src/test/guest, as built. */
final class Guests {
    private Guests() {}

    /** Counts on the serial port and on its disk. */
    static byte[] counter() throws IOException {
        return load("counter");
    }

    /** Writes one sector after the other; {@link #writtenBy} says what its disk holds. */
    static byte[] writer() throws IOException {
        return load("writer");
    }

    /**
     * What the first so many sectors of the disk of {@link #writer} begin with after it has written that often, as far as
     * it wrote them; else 0.
     */
    static int[] writtenBy(int writes, int sectors) {
        int[] content = new int[sectors];
        int sector = 0;
        for (int i = 1; i <= writes; i++) {
            sector = Math.max(1, sector + 65 & 65535);
            content[sector] = i;
        }
        return content;
    }

    /** What the console shows of {@link #dirty}: the firmware's own dots, and many of the guest's. */
    static final Pattern WORKS = Pattern.compile("Hard Disk\\.+\\s*\\.{9}");

    /** Writes one byte to each of {@code pages} pages again and again. */
    static byte[] dirty(int pages) throws IOException {
        return dirty(pages, 0);
    }

    /** Lets so many ticks of the time stamp counter pass between two pages, and counts at 0x6000 meanwhile. */
    static byte[] dirty(int pages, int ticks) throws IOException {
        byte[] boot = load("dirty");
        ByteBuffer.wrap(boot).order(ByteOrder.LITTLE_ENDIAN).putInt(500, ticks).putInt(504, pages);
        return boot;
    }

    /**
     * A disk whose guest answers ARP and ping at {@code address}, echoes UDP and TCP on port 7 and counts
     * requests on UDP port 8. What it wants to say goes to the serial port.
     *
     * @param address four bytes
     */
    static byte[] echo(byte... address) throws IOException {
        byte[] image = java.util.Arrays.copyOf(load("echo"), 1 << 20);
        System.arraycopy(address, 0, image, 500, 4);
        return image;
    }

    /** Where the first piece of TCP is that {@link #keeping} got; the next ones follow, each in a sector. */
    static final long FIRST_KEPT = 4096 * 512;

    /** Likewise; it has written each piece of TCP, of up to 512 bytes, to its disk before it answers. */
    static byte[] keeping(byte... address) throws IOException {
        byte[] image = echo(address);
        image[504] = 1;
        return image;
    }

    static byte[] load(String name) throws IOException {
        try (var in = Guests.class.getResourceAsStream("/guest/" + name + ".bin")) {
            if (in == null) {
                throw new IOException("no such guest: " + name);
            }
            return in.readAllBytes();
        }
    }
}
