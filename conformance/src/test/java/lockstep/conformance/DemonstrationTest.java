package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * {@code examples/colo-demo} on machines that lack what it needs: it says so before it does
 * anything else. The machines are mount namespaces with a {@code /dev} of their own.
 */
@Tag("root")
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

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    no KVM       | true                        | /dev/kvm cannot be opened (it does not exist)
                    a file       | touch /dev/kvm              | /dev/kvm cannot be opened (it is not a device)
                    no driver    | mknod /dev/kvm c 511 99     | /dev/kvm cannot be opened (No such device or address)
                    no taps      | rm /dev/net/tun               | /dev/net/tun cannot be opened (it does not exist)
                    """)
    void whatIsMissingIsSaidAtTheStart(String machine, String make, String expected)
            throws IOException, InterruptedException {
        Host.assumeNetworkRoot();
        Path demonstration = Host.scripts().resolveSibling("colo-demo");
        Process p =
                new ProcessBuilder(
                                "unshare",
                                "-m",
                                "sh",
                                "-c",
                                BARE_DEV + make + "\nexec " + demonstration + " --headless")
                        .redirectErrorStream(true)
                        .start();
        p.getOutputStream().close();
        String said = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(1, p.waitFor(), said);
        assertTrue(said.contains(expected), said);
        assertTrue(said.contains("--device /dev/"), "it says what to do: " + said);
        assertFalse(said.contains("Building") || said.contains("Starting"), said);
    }
}
