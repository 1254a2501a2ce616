package lockstep.conformance;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** The given scripts with QEMU as one of the two hosts, on whatever runs guests here: either may die; the secondary when asked with {@code -Dlinux=1}. */
@Tag("tun")
@Tag("root")
@Tag("qemu")
@Timeout(1200)
class ColoWithQemuTest {
    @TempDir Path directory;

    @BeforeEach
    void machine() {
        ColoPair.assumePossible();
        Host.assumeProgram(Host.qemu());
    }

    @ParameterizedTest
    @CsvSource({
        "qemu, lockstep, primary",
        "qemu, lockstep, secondary",
        "lockstep, qemu, primary",
        "lockstep, qemu, secondary"
    })
    void theGuestOutlivesEither(String first, String second, String dies) throws IOException {
        if (dies.equals("secondary")) {
            LinuxTest.assumeAskedFor();
        }
        Path qemu = ColoPair.qemu(directory);
        Path primary = first.equals("qemu") ? qemu : Host.binary();
        Path secondary = second.equals("qemu") ? qemu : Host.binary();
        try (ColoPair pair =
                new ColoPair(
                        directory.resolve("pair"),
                        Guests.counter(),
                        primary,
                        secondary,
                        Host.accelerator(),
                        List.of("-M", "pc-i440fx-7.2"))) {
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
            survivor.kill();
            pair.checkImages();
        }
    }
}
