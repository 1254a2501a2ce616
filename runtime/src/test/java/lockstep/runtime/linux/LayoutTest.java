package lockstep.runtime.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.StructLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** The layouts that jextract wrote, against what the host's own C compiler makes of the headers. */
class LayoutTest {
    private static final Path JEXTRACT = Path.of("../generated/src/jextract");

    @TempDir Path directory;

    @Test
    void sizesAndOffsetsAreThoseOfTheCompiler() throws Exception {
        Assumptions.assumeTrue(compilerExists(), "no C compiler (cc) on this host");
        Map<String, Long> expected = new TreeMap<>();
        StringBuilder source = new StringBuilder("#include \"lockstep.h\"\n#include <stddef.h>\n");
        source.append("#include <stdio.h>\nint main(void) {\n");
        for (String line : Files.readAllLines(JEXTRACT.resolve("includes.txt"))) {
            String[] words = line.split(" ");
            if (words[0].equals("--include-struct")) {
                GroupLayout layout = layout(words[1]);
                String type = "struct " + words[1];
                note(source, expected, "sizeof(" + type + ")", layout.byteSize());
                members(source, expected, type, layout, 0);
            }
        }
        source.append("return 0; }\n");
        Map<String, Long> actual = compileAndRun(source.toString());
        assertTrue(expected.size() > 300, "only " + expected.size() + " facts");
        for (Map.Entry<String, Long> e : expected.entrySet()) {
            assertEquals(e.getValue(), actual.get(e.getKey()), e.getKey());
        }
    }

    @Test
    void theOutputHoldsWhatTheListNames() throws Exception {
        List<String> named = new ArrayList<>();
        for (String line : Files.readAllLines(JEXTRACT.resolve("includes.txt"))) {
            String[] words = line.split(" ");
            if (words[0].equals("--include-struct") || words[0].equals("--include-union")) {
                named.add(words[1] + ".java");
            } else {
                assertTrue(
                        Stream.of(Class.forName("lockstep.linux.abi.LinuxAbi").getMethods())
                                .anyMatch(m -> m.getName().equals(words[1])),
                        words[1] + " is in the list but not in the output");
            }
        }
        named.add("LinuxAbi.java");
        named.add("LinuxSymbols.java");
        try (Stream<Path> files = Files.list(JEXTRACT.resolve("java/lockstep/linux/abi"))) {
            assertEquals(
                    named.stream().sorted().toList(),
                    files.map(f -> f.getFileName().toString()).sorted().toList());
        }
    }

    private static GroupLayout layout(String name) throws Exception {
        return (GroupLayout)
                Class.forName("lockstep.linux.abi." + name).getMethod("layout").invoke(null);
    }

    private static void note(
            StringBuilder source, Map<String, Long> expected, String expression, long value) {
        if (expected.put(expression, value) == null) {
            source.append("printf(\"%s %zu\\n\", \"")
                    .append(expression)
                    .append("\", (size_t) ")
                    .append(expression)
                    .append(");\n");
        }
    }

    /** Named members; those of an unnamed union or structure count as its owner's. */
    private static void members(
            StringBuilder source,
            Map<String, Long> expected,
            String type,
            GroupLayout layout,
            long base) {
        long at = 0;
        for (MemoryLayout m : layout.memberLayouts()) {
            String name = m.name().orElse("");
            boolean anonymous = name.isEmpty() || name.startsWith("$anon$");
            if (m instanceof GroupLayout g && anonymous) {
                members(source, expected, type, g, base + at);
            } else if (!(m instanceof PaddingLayout) && !name.startsWith("__")) {
                long offset = layout.byteOffset(PathElement.groupElement(name));
                note(source, expected, "offsetof(" + type + ", " + name + ")", base + offset);
            }
            if (layout instanceof StructLayout) {
                at += m.byteSize();
            }
        }
    }

    private static boolean compilerExists() throws InterruptedException {
        try {
            return new ProcessBuilder("cc", "--version")
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false;
        }
    }

    private Map<String, Long> compileAndRun(String source) throws Exception {
        Path c = Files.writeString(directory.resolve("probe.c"), source);
        Path program = directory.resolve("probe");
        Process compiler =
                new ProcessBuilder(
                                "cc",
                                "-I" + JEXTRACT.toAbsolutePath(),
                                "-o",
                                program.toString(),
                                c.toString())
                        .redirectErrorStream(true)
                        .start();
        String messages =
                new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, compiler.waitFor(), messages);
        Process probe = new ProcessBuilder(program.toString()).start();
        Map<String, Long> out = new TreeMap<>();
        String lines = new String(probe.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        for (String line : lines.split("\n")) {
            int space = line.lastIndexOf(' ');
            out.put(line.substring(0, space), Long.parseLong(line.substring(space + 1)));
        }
        assertEquals(0, probe.waitFor());
        return out;
    }
}
