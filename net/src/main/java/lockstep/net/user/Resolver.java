package lockstep.net.user;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;

/** The host's name server: the first of IPv4 in resolv.conf(5), which is read again when it has changed. */
final class Resolver {
    private static final Path FILE = Path.of("/etc/resolv.conf");
    private static final int LONGEST = 65536;
    private static final long INTERVAL_NS = 1_000_000_000L;

    private @Nullable FileTime read;
    private long looked = System.nanoTime() - INTERVAL_NS;
    private int address = Ip.LOOPBACK;

    /** Its address; that of this machine when the file names none. */
    int address() {
        if (System.nanoTime() - looked < INTERVAL_NS) {
            return address;
        }
        looked = System.nanoTime();
        try {
            FileTime now = Files.getLastModifiedTime(FILE);
            if (!now.equals(read) && Files.size(FILE) <= LONGEST) {
                address = first(Files.readAllLines(FILE, StandardCharsets.ISO_8859_1));
                read = now;
            }
        } catch (IOException e) {
            // A host without the file, or one that is just being replaced: what was known stays.
        }
        return address;
    }

    static int first(List<String> lines) {
        for (String line : lines) {
            String[] words = line.strip().split("\\s+");
            if (words.length >= 2 && words[0].equals("nameserver")) {
                Integer address = Ip.parse(words[1]);
                if (address != null) {
                    return address == 0 ? Ip.LOOPBACK : address;
                }
            }
        }
        return Ip.LOOPBACK;
    }
}
