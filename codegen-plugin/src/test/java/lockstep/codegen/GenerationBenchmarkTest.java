package lockstep.codegen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qapi.InvalidSchemaException;
import lockstep.qapi.SchemaLoader;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/**
 * How long generation takes for a schema of the size of QEMU's, beside QEMU's own generator where {@code
 * qemu.source} names its source tree. It prints what it measures and asserts nothing about times.
 */
class GenerationBenchmarkTest {
    /** Runs until the compiler of the JVM has seen what is hot; the rest counts. */
    private static final int WARM_UP = 3;

    private static final int RUNS = 4;

    @TempDir private Path directory;

    @Test
    void generationOfASchemaOfUpstreamSize() throws Exception {
        Path schema = LargeSchema.write(directory);
        long first = generate(schema, 0);
        for (int i = 1; i < WARM_UP; i++) {
            generate(schema, i);
        }
        long ours = Long.MAX_VALUE;
        for (int i = 0; i < RUNS; i++) {
            ours = Math.min(ours, generate(schema, WARM_UP + i));
        }
        String source = System.getProperty("qemu.source", "");
        String theirs = "not measured: -Dqemu.source=DIR names no QEMU source tree";
        if (!source.isEmpty()) {
            long time = Long.MAX_VALUE;
            for (int i = 0; i < RUNS; i++) {
                time = Math.min(time, runQemu(Path.of(source), schema, i));
            }
            theirs =
                    String.format("qemu %9.1f ms   ratio %.2f", millis(time), (double) ours / time);
        }
        System.out.printf("BENCH generation, cold      lockstep %9.1f ms%n", millis(first));
        System.out.printf(
                "BENCH generation, warm      lockstep %9.1f ms   %s%n", millis(ours), theirs);
    }

    private static double millis(long nanos) {
        return nanos / 1e6;
    }

    /** Each run has a directory of its own: nothing is there that would not have to be written. */
    private long generate(Path file, int run) throws IOException, InvalidSchemaException {
        long start = System.nanoTime();
        Schema schema = SchemaLoader.load(file.toString());
        Path output = directory.resolve("java" + run);
        int files =
                new SchemaGenerator("large", Set.of(), true, true).generate(schema, output).size();
        long time = System.nanoTime() - start;
        assertEquals(LargeSchema.COMMANDS, count(schema, Definition.Command.class));
        assertEquals(LargeSchema.EVENTS, count(schema, Definition.Event.class));
        assertEquals(LargeSchema.ENUMS, count(schema, Definition.EnumType.class));
        assertEquals(LargeSchema.STRUCTS, count(schema, Definition.StructType.class));
        assertEquals(LargeSchema.UNIONS, count(schema, Definition.UnionType.class));
        assertEquals(LargeSchema.ALTERNATES, count(schema, Definition.AlternateType.class));
        assertTrue(files > 900, files + " files");
        return time;
    }

    private static long count(Schema schema, Class<? extends Definition> kind) {
        return schema.definitions().filter(kind::isInstance).count();
    }

    private long runQemu(Path source, Path schema, int run)
            throws IOException, InterruptedException {
        Path output = Files.createDirectory(directory.resolve("c" + run));
        long start = System.nanoTime();
        Process process =
                new ProcessBuilder(
                                "python3",
                                source.resolve("scripts/qapi-gen.py").toString(),
                                "-o",
                                output.toString(),
                                schema.toString())
                        .inheritIO()
                        .start();
        assertEquals(0, process.waitFor());
        return System.nanoTime() - start;
    }
}
