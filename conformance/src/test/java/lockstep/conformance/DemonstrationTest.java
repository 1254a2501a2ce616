package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * {@code examples/colo-demo} on machines that lack what it needs or could use: it says so before it does
 * anything else. The machines are mount namespaces with a {@code /dev} of their own.
 */
@Tag("root")
@Timeout(value = 900, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DemonstrationTest {
    /** A directory of devices with the few that any program needs takes the place of /dev. */
    private static final String BARE_DEV =
            """
            d=$(mktemp -d) && mount -t tmpfs none $d && mkdir $d/net || exit 99
            cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom $d/
            cp -a /dev/net/tun $d/net/
            ln -s /proc/self/fd $d/fd
            mount --move $d /dev && rmdir $d
            """;

    private static Process start(String make, String... options) throws IOException {
        Host.assumeNetworkRoot();
        Path demonstration = Host.scripts().resolveSibling("colo-demo");
        String script =
                BARE_DEV + make + "\nexec " + demonstration + " " + String.join(" ", options);
        Process p =
                new ProcessBuilder("unshare", "-m", "sh", "-c", script)
                        .redirectErrorStream(true)
                        .start();
        p.getOutputStream().close();
        return p;
    }

    private static String said(Process p) throws IOException {
        return new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    @Test
    void whatIsMissingIsSaidAtTheStart() throws IOException, InterruptedException {
        Process p = start("rm /dev/net/tun", "--headless");
        String said = said(p);
        assertEquals(1, p.waitFor(), said);
        assertTrue(said.contains("/dev/net/tun cannot be opened (it does not exist)"), said);
        assertTrue(said.contains("--device /dev/"), "it says what to do: " + said);
        assertFalse(said.contains("Building") || said.contains("Starting"), said);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    a file       | touch /dev/kvm              | it is not a device
                    no driver    | mknod /dev/kvm c 511 99     | No such device or address
                    """)
    void whyKvmIsNotUsedIsSaid(String machine, String make, String expected) throws IOException {
        Process p = start(make, "--headless");
        try (BufferedReader lines = p.inputReader(StandardCharsets.UTF_8)) {
            String line = lines.readLine();
            while (line != null && !line.contains("not on KVM")) {
                line = lines.readLine();
            }
            assertTrue(line != null && line.contains("cannot be opened: " + expected), line);
        } finally {
            p.destroy();
        }
    }

    /** The main job, with guests on processors in software: Linux, where it is there. */
    @Test
    void withoutKvmEverythingWorksAsWell() throws IOException, InterruptedException {
        Process p = start("true", "--headless", "--kill", "primary");
        String said = said(p);
        assertEquals(0, p.waitFor(), said);
        assertTrue(said.contains("not on KVM: /dev/kvm cannot be opened: it does not exist"), said);
        assertTrue(said.contains("this is the same connection") || said.contains("--guest"), said);
        assertTrue(said.contains("All went well."), said);
    }
}
