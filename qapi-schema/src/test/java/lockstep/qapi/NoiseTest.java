package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Damaged, deep and big schemas: whatever is read, only errors of the schema come out. */
class NoiseTest {
    private static final List<String> SCRAPS =
            List.of(
                    "{",
                    "}",
                    "[",
                    "]",
                    ":",
                    ",",
                    "'",
                    "#",
                    "##",
                    "\n",
                    "\t",
                    "\\",
                    " ",
                    "true",
                    "false",
                    "'if'",
                    "'type'",
                    "'base'",
                    "'data'",
                    "'features'",
                    "'include'",
                    "'pragma'",
                    "'struct'",
                    "'List'",
                    "@",
                    "# @a:",
                    "# Features:",
                    "# Returns: x",
                    "::",
                    ". A",
                    "\r",
                    "\0",
                    "\u00e9",
                    "\u2028",
                    "\ud83d\ude80");

    @TempDir Path directory;

    private String errors(boolean first) {
        String file = directory.resolve("t.json").toString();
        try {
            String dump =
                    SchemaDump.of(
                            first ? SchemaLoader.loadFirstError(file) : SchemaLoader.load(file));
            assertFalse(dump.isEmpty());
            return "";
        } catch (InvalidSchemaException e) {
            assertFalse(e.errors().isEmpty());
            return e.errors().stream().map(Object::toString).collect(Collectors.joining("\n"));
        }
    }

    private void read(byte[] bytes) throws IOException {
        Files.write(directory.resolve("t.json"), bytes);
        String first = errors(true);
        String all = errors(false);
        assertTrue(all.startsWith(first), "first error\n" + first + "\nall errors\n" + all);
        assertEquals(first.isEmpty(), all.isEmpty());
    }

    private void read(String text) throws IOException {
        read(text.getBytes(java.nio.charset.StandardCharsets.UTF_8));
    }

    @ParameterizedTest
    @ValueSource(strings = {"colo", "control", "sockets", "trace", "yank", "net", "introspect"})
    void damagedSchemas(String name) throws IOException {
        String whole = Files.readString(Path.of("src/main/qapi", name + ".json"));
        for (int seed = 0; seed < 60; seed++) {
            Random random = new Random(seed);
            StringBuilder text = new StringBuilder(whole);
            for (int change = random.nextInt(4); change >= 0; change--) {
                int at = random.nextInt(text.length());
                int end = Math.min(text.length(), at + random.nextInt(12));
                switch (random.nextInt(4)) {
                    case 0 -> text.delete(at, end);
                    case 1 -> text.insert(at, SCRAPS.get(random.nextInt(SCRAPS.size())));
                    case 2 -> text.replace(at, end, SCRAPS.get(random.nextInt(SCRAPS.size())));
                    default -> text.insert(random.nextInt(text.length()), text.substring(at, end));
                }
            }
            read(text.toString());
        }
    }

    @Test
    void scraps() throws IOException {
        for (int seed = 0; seed < 500; seed++) {
            Random random = new Random(seed);
            read(
                    random.ints(random.nextInt(40), 0, SCRAPS.size())
                            .mapToObj(SCRAPS::get)
                            .collect(Collectors.joining()));
        }
    }

    @Test
    void bytes() throws IOException {
        for (int seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            byte[] bytes = new byte[random.nextInt(60)];
            random.nextBytes(bytes);
            read(bytes);
        }
    }

    @Test
    void depth() throws IOException {
        for (String open :
                List.of("[", "{ 'a': ", "{ 'struct': 'Aa', 'data': {}, 'if': { 'not': ")) {
            read(open.repeat(100_000));
            assertTrue(errors(false).contains("values nest more than 400 deep"));
        }
        for (String open : List.of("{ 'not': ", "{ 'any': [ 'B', ")) {
            String close = open.contains("[") ? " ] }" : " }";
            int times = open.contains("[") ? 199 : 399;
            read(
                    "{ 'struct': 'Aa', 'data': {}, 'if': "
                            + open.repeat(times)
                            + "'A'"
                            + close.repeat(times)
                            + " }");
            assertEquals("", errors(false));
        }
        StringBuilder bases = new StringBuilder("{ 'struct': 'S0s', 'data': {} }\n");
        for (int i = 20_000; i > 0; i--) {
            bases.append("{ 'struct': 'S%ds', 'base': 'S%ds', 'data': {} }%n".formatted(i, i - 1));
        }
        read(bases.toString());
        for (int i = 0; i < 500; i++) {
            String next = "{ 'include': '" + (i + 1) + ".json' }";
            Files.writeString(directory.resolve(i + ".json"), next);
        }
        read("{ 'include': '0.json' }");
        assertTrue(errors(false).endsWith("199.json:1: includes nest more than 200 deep"));
    }

    /** Each union holds the next one twice, so there are 2^200 paths to the innermost one. */
    @Test
    void branchesOfBranches() throws IOException {
        StringBuilder text = new StringBuilder("{ 'enum': 'Ee', 'data': ['a', 'b'] }\n");
        for (int i = 0; i < 200; i++) {
            text.append(
                    """
                    { 'union': 'U%ds', 'base': { 't%d': 'Ee' }, 'discriminator': 't%d',
                      'data': { 'a': 'U%ds', 'b': 'U%ds' } }
                    """
                            .formatted(i, i, i, i + 1, i + 1));
        }
        read(text + "{ 'struct': 'U200s', 'data': {} }");
        assertEquals("", errors(false));
        read(text + "{ 'struct': 'U200s', 'data': { 't0': 'int' } }");
        assertTrue(errors(false).contains("member 't0' of type 'U200s' collides with"));
    }

    @Test
    void size() throws IOException {
        read(
                "{ 'enum': 'Big', 'data': ["
                        + IntStream.range(0, 50_000)
                                .mapToObj(i -> "'v" + i + "'")
                                .collect(Collectors.joining(", "))
                        + "] }\n");
        assertEquals("", errors(false));
        read("#".repeat(1 << 20) + "\n" + " ".repeat(1 << 20) + "{ 'a': '" + "x".repeat(1 << 20));
    }
}
