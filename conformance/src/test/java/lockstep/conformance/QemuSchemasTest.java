package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import lockstep.codegen.Introspection;
import lockstep.codegen.SchemaGenerator;
import lockstep.qapi.InvalidSchemaException;
import lockstep.qapi.SchemaLoader;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.QmpException;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * QEMU's own schemas, from the source tree that {@code qemu.source} names: Java that compiles without
 * warnings, and introspection data equal to what QEMU's generator writes.
 */
class QemuSchemasTest {
    private static final Pattern SYMBOL =
            Pattern.compile("\\b(?:CONFIG|HAVE|TARGET|HOST|TEST_IF|IF)_?[A-Z0-9_]+\\b");

    @TempDir private Path directory;
    private Path source = Path.of("");

    @BeforeEach
    void findSource() {
        String given = System.getProperty("qemu.source", "");
        assumeTrue(!given.isEmpty(), "-Dqemu.source=DIR names no QEMU source tree");
        source = Path.of(given);
    }

    /** All symbols that conditions in the files of a directory name. */
    private static Set<String> symbols(Path schema) throws IOException {
        Set<String> symbols = new TreeSet<>();
        try (Stream<Path> files = Files.list(schema.toAbsolutePath().getParent())) {
            for (Path file : files.filter(f -> f.toString().endsWith(".json")).toList()) {
                SYMBOL.matcher(Files.readString(file))
                        .results()
                        .forEach(r -> symbols.add(r.group()));
            }
        }
        return symbols;
    }

    @ParameterizedTest
    @CsvSource({
        "qapi/qapi-schema.json, all",
        "qapi/qapi-schema.json, none",
        "qga/qapi-schema.json, all",
        "qga/qapi-schema.json, none",
        "storage-daemon/qapi/qapi-schema.json, all",
        "tests/qapi-schema/qapi-schema-test.json, all",
        "tests/qapi-schema/qapi-schema-test.json, none",
        "tests/qapi-schema/doc-good.json, all",
        "tests/qapi-schema/doc-good.json, none",
    })
    void generatedCodeCompilesWithoutWarnings(String name, String conditions)
            throws IOException, InvalidSchemaException {
        Path schema = source.resolve(name);
        Set<String> defined = conditions.equals("all") ? symbols(schema) : Set.of();
        Set<Path> files =
                new SchemaGenerator("qemu", defined, true, true)
                        .generate(SchemaLoader.load(schema.toString()), directory);
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter messages = new StringWriter();
        try (StandardJavaFileManager manager = compiler.getStandardFileManager(null, null, null)) {
            List<String> options =
                    List.of(
                            "-Xlint:all,-processing,-path,-classfile",
                            "-Werror",
                            "-proc:none",
                            "-d",
                            Files.createDirectory(directory.resolve("classes")).toString());
            boolean good =
                    compiler.getTask(
                                    messages,
                                    manager,
                                    null,
                                    options,
                                    null,
                                    manager.getJavaFileObjectsFromPaths(files))
                            .call();
            assertTrue(good, messages.toString());
            assertEquals("", messages.toString());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void introspectionIsWhatQemusGeneratorWrites(boolean masked)
            throws IOException, InterruptedException, InvalidSchemaException, QmpException {
        Path schema = source.resolve("qapi/qapi-schema.json");
        List<String> command = new ArrayList<>(List.of("python3"));
        command.add(source.resolve("scripts/qapi-gen.py").toString());
        command.addAll(List.of("-o", directory.toString(), schema.toString()));
        if (!masked) {
            command.add("-u");
        }
        assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor());
        String c = Files.readString(directory.resolve("qapi-introspect.c"));
        compare(c, schema, symbols(schema), masked);
        compare(unconditional(c), schema, Set.of(), masked);
    }

    private static String unconditional(String c) {
        StringBuilder text = new StringBuilder();
        int depth = 0;
        for (String line : c.split("\n")) {
            depth += line.startsWith("#if ") ? 1 : 0;
            if (depth == 0) {
                text.append(line).append('\n');
            }
            depth -= line.startsWith("#endif") ? 1 : 0;
        }
        return text.toString();
    }

    private static void compare(String c, Path schema, Set<String> defined, boolean masked)
            throws InvalidSchemaException, QmpException {
        List<String> ours =
                Introspection.entries(SchemaLoader.load(schema.toString()), defined, masked);
        JsonArray theirs = (JsonArray) JsonStreamParser.parse(Literal.json(c));
        assertEquals(theirs.size(), ours.size());
        for (int i = 0; i < ours.size(); i++) {
            assertEquals(theirs.get(i), JsonStreamParser.parse(ours.get(i)));
        }
        assertTrue(ours.size() > 1000, ours.size() + " entries");
    }

    /** The C initialiser that holds QEMU's data, as JSON. */
    private static final class Literal {
        private static final Pattern TOKEN =
                Pattern.compile("\"[^\"]*\"|QLIT_[A-Z]+|true|false|[{}]");
        private final Iterator<String> tokens;

        private Literal(Iterator<String> tokens) {
            this.tokens = tokens;
        }

        static String json(String c) {
            String data = c.substring(c.indexOf("qmp_schema_qlit = "));
            data = data.replaceAll("(?m)^#.*$", "").replaceAll("/\\*.*?\\*/", "");
            Iterator<String> tokens =
                    TOKEN.matcher(data).results().map(MatchResult::group).iterator();
            return new Literal(tokens).value(tokens.next());
        }

        private String value(String token) {
            return switch (token) {
                case "QLIT_QNULL" -> "null";
                case "QLIT_QSTR", "QLIT_QBOOL" -> tokens.next();
                case "QLIT_QLIST" -> list();
                case "QLIT_QDICT" -> object();
                default -> throw new IllegalArgumentException(token);
            };
        }

        /** Lists and objects end with an empty pair of braces. */
        private String list() {
            tokens.next();
            List<String> values = new ArrayList<>();
            for (String t = tokens.next(); !t.equals("{"); t = tokens.next()) {
                values.add(value(t));
            }
            tokens.next();
            tokens.next();
            return "[" + String.join(",", values) + "]";
        }

        private String object() {
            tokens.next();
            List<String> members = new ArrayList<>();
            while (true) {
                tokens.next();
                String name = tokens.next();
                if (name.equals("}")) {
                    tokens.next();
                    return "{" + String.join(",", members) + "}";
                }
                members.add(name + ":" + value(tokens.next()));
                tokens.next();
            }
        }
    }
}
