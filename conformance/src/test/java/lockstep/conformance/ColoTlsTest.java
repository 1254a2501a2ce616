package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertFalse;

import lockstep.runtime.testmachine.Certificates;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.file.Path;
import java.util.List;

/** The given scripts with TLS over all that goes between the hosts: state, disk and packets; either host dies, and either may be QEMU, which survives as the primary when asked with {@code -Dlinux=1}. */
@Tag("tun")
@Tag("root")
@Tag("qemu")
@Timeout(1200)
class ColoTlsTest {
    @TempDir Path directory;

    @BeforeEach
    void machine() {
        ColoPair.assumePossible();
        Host.assumeProgram(Host.qemu());
    }

    @ParameterizedTest
    @CsvSource({
        "lockstep, lockstep, primary",
        "lockstep, lockstep, secondary",
        "qemu, lockstep, primary",
        "qemu, lockstep, secondary",
        "lockstep, qemu, primary",
        "lockstep, qemu, secondary"
    })
    void theGuestOutlivesEither(String first, String second, String dies) throws Exception {
        if (first.equals("qemu") && dies.equals("secondary")) {
            LinuxTest.assumeAskedFor();
        }
        Path qemu = ColoPair.qemu(directory);
        try (ColoPair pair =
                new ColoPair(
                        directory.resolve("pair"),
                        Guests.counter(),
                        first.equals("qemu") ? qemu : Host.binary(),
                        second.equals("qemu") ? qemu : Host.binary(),
                        Host.accelerator(),
                        List.of("-M", "pc-i440fx-7.2"))) {
            pair.secure(Certificates.make(directory.resolve("certificates"), "EC"));
            pair.start();
            pair.ncAnswers(ColoPair.SECONDARY_QMP, "secondary-cmd");
            pair.ncAnswers(ColoPair.PRIMARY_QMP, "primary-cmd");
            pair.countsOnBoth();
            boolean primaryDies = dies.equals("primary");
            (primaryDies ? pair.primary : pair.secondary).kill();
            ColoPair.Side survivor = primaryDies ? pair.secondary : pair.primary;
            pair.ncAnswers(
                    primaryDies ? ColoPair.SECONDARY_QMP : ColoPair.PRIMARY_QMP,
                    primaryDies ? "secondary-failover" : "primary-failover");
            pair.goesOn(survivor);
            assertFalse(
                    Host.text(survivor.errors).contains("without TLS"),
                    () -> Host.text(survivor.errors));
            survivor.kill();
            pair.checkImages();
        }
    }
}
