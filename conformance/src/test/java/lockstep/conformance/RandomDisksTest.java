package lockstep.conformance;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Random operations on chains of images, by ours and by QEMU in turn: writes, zeroes, discards, snapshots of both kinds,
 * resizing, all jobs, bitmaps, and the tools for images. What is in the images is what the operations make of an array.
 */
@Tag("qemu")
class RandomDisksTest {
    /** Chains, each with rounds in which one of the programs has it. */
    private static final int CHAINS = Integer.getInteger("disks.chains", 2);

    private static final int ROUNDS = 5;
    private static final int REQUESTS = 60;
    private static final long SEED = Long.getLong("disks.seed", 11);

    @TempDir Path folder;

    @BeforeEach
    void programs() {
        Host.assumeProgram(Host.qemu());
        Host.assumeProgram("qemu-img");
    }

    @Test
    void bothProgramsKeepWhatIsWritten() throws Exception {
        int steps = 0;
        for (int i = 0; i < CHAINS; i++) {
            RandomChain chain =
                    new RandomChain(Files.createDirectory(folder.resolve("c" + i)), SEED + i);
            try {
                for (int round = 0; round < ROUNDS; round++) {
                    chain.round(REQUESTS);
                }
            } catch (AssertionError | Exception e) {
                throw new AssertionError("seed " + (SEED + i) + ":\n" + chain.story(), e);
            }
            steps += chain.steps();
        }
        System.out.println(steps + " operations on " + CHAINS + " chains of images");
    }
}
