package lockstep.conformance;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Debian's kernel and busybox as a guest: {@code setup} has put what the packages have of them into a folder. An
 * initial RAM disk with the modules that are asked for is made of them.
 */
final class LinuxGuest {
    /** What {@code /init} writes when it is through, in front of the first prompt. */
    static final String UP = "The guest is up.";

    private static final Pattern DEPENDS = Pattern.compile("\0depends=([^\0]*)\0");

    /**
     * Makes the usual file systems, loads the modules in order, gives the first network card the address of
     * {@code guest.ip=}, has the power button switch off, runs what a test wants it to, and ends in a shell.
     */
    private static final String INIT =
            """
            #!/bin/busybox sh
            /bin/busybox --install -s /bin
            export PATH=/bin
            mount -t proc proc /proc
            mount -t sysfs sys /sys
            mount -t devtmpfs dev /dev
            mkdir -p /tmp
            for module in /modules/*; do
                [ -e $module ] && insmod $module
            done
            ip link set lo up
            for word in $(cat /proc/cmdline); do
                case $word in
                    guest.ip=*)
                        ip link set eth0 up
                        ip addr add ${word#*=} dev eth0
                        ;;
                esac
            done
            for button in /sys/class/input/input*; do
                if grep -q 'Power Button' $button/name; then
                    (head -c 24 /dev/input/$(basename $button/event*) > /dev/null; poweroff -f) &
                fi
            done
            dmesg -n 1
            . /services
            echo "%s"
            exec setsid cttyhack sh
            """
                    .formatted(UP);

    private final Path folder;
    private final Path busybox;

    private LinuxGuest(String kind) {
        Path all = folder();
        folder = all.resolve(kind);
        busybox = all.resolve("busybox");
        assumeTrue(
                Files.exists(kernel()) && Files.exists(busybox),
                "needs a guest in " + all + ": run ./setup");
    }

    /** The kernel for clouds: boots soonest; has disks, but no network card that is here. */
    static LinuxGuest cloud() {
        return new LinuxGuest("cloud");
    }

    /** The usual kernel. */
    static LinuxGuest usual() {
        return new LinuxGuest("usual");
    }

    private static Path folder() {
        String given = System.getProperty("lockstep.guest", "");
        if (!given.isEmpty()) {
            return Path.of(given);
        }
        String cache = System.getenv("XDG_CACHE_HOME");
        Path home = Path.of(System.getProperty("user.home"));
        return (cache == null || cache.isEmpty() ? home.resolve(".cache") : Path.of(cache))
                .resolve("lockstep/guest");
    }

    Path kernel() {
        return folder.resolve("vmlinuz");
    }

    /**
     * Writes an initial RAM disk with these modules and those that they need.
     *
     * @param services lines for the guest's shell, run when all is set up
     */
    void writeInitrd(Path file, String services, String... modules) throws IOException {
        CpioArchive archive = new CpioArchive();
        for (String d : List.of("bin", "dev", "modules", "proc", "sys")) {
            archive.directory(d);
        }
        archive.console();
        archive.program("bin/busybox", Files.readAllBytes(busybox));
        archive.program("init", INIT.getBytes(StandardCharsets.US_ASCII));
        archive.program("services", services.getBytes(StandardCharsets.US_ASCII));
        Set<String> ordered = new LinkedHashSet<>();
        for (String m : modules) {
            order(m, ordered);
        }
        int number = 100;
        for (String m : ordered) {
            archive.program("modules/" + number++ + "-" + m, Files.readAllBytes(module(m)));
        }
        archive.write(file);
    }

    private Path module(String name) {
        return folder.resolve("modules/" + name + ".ko");
    }

    /** A module comes behind those that it needs; what is no file is built in. */
    private void order(String name, Set<String> ordered) throws IOException {
        if (!Files.exists(module(name))) {
            return;
        }
        Matcher m = DEPENDS.matcher(Files.readString(module(name), StandardCharsets.ISO_8859_1));
        if (m.find() && !m.group(1).isEmpty()) {
            for (String needed : m.group(1).split(",")) {
                order(needed, ordered);
            }
        }
        ordered.add(name);
    }
}
