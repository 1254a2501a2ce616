package lockstep.conformance;

import java.io.IOException;

/** The boot sectors under src/test/guest, as built. */
final class Guests {
    private Guests() {}

    /** Counts on the serial port and on its disk. */
    static byte[] counter() throws IOException {
        return load("counter");
    }

    /** Writes one byte to each of {@code pages} pages again and again. */
    static byte[] dirty(int pages) throws IOException {
        byte[] boot = load("dirty");
        for (int i = 0; i < 4; i++) {
            boot[504 + i] = (byte) (pages >>> 8 * i);
        }
        return boot;
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
