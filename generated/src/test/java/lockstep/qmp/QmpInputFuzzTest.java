package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.api.MiscCommands;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.lang.reflect.Field;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Whatever a client sends: each text is answered, a mistake with an error, and the arguments of
 * every command are read. Also the target of a fuzzer ({@code -Pfuzz}); its seeds run here.
 */
public final class QmpInputFuzzTest {
    private static final CommandTable TABLE = new CommandTable();

    /** A command whose arguments were read is not run: that is another's test. */
    private static final class Read extends QmpException {
        private static final long serialVersionUID = 1L;

        Read() {
            super("read");
        }
    }

    static {
        TABLE.onFailure(
                (name, failure) -> {
                    throw new AssertionError(name, failure);
                });
        commands().forEach(QmpInputFuzzTest::register);
    }

    private static <A, R> void register(QmpCommand<A, R> command) {
        TABLE.register(
                command,
                arguments -> {
                    // What was read can be written, and reads the same again.
                    JsonValue written =
                            JsonOutputVisitor.toJson(arguments, command.argumentsWriter());
                    A again =
                            command.arguments()
                                    .read(new JsonInputVisitor((JsonObject) written), null);
                    assertEquals(arguments, again, command.name());
                    throw new Read();
                });
    }

    /** Every command that the schema has. */
    private static List<QmpCommand<?, ?>> commands() {
        try {
            Path classes =
                    Path.of(
                            MiscCommands.class
                                    .getProtectionDomain()
                                    .getCodeSource()
                                    .getLocation()
                                    .toURI());
            try (Stream<Path> all = Files.list(classes.resolve("lockstep/api"))) {
                return all.map(file -> file.getFileName().toString())
                        .filter(name -> name.endsWith("Commands.class"))
                        .sorted()
                        .<QmpCommand<?, ?>>flatMap(name -> constants(name.replace(".class", "")))
                        .toList();
            }
        } catch (IOException | URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Stream<QmpCommand<?, ?>> constants(String name) {
        try {
            return Stream.of(Class.forName("lockstep.api." + name).getFields())
                    .filter(field -> field.getType() == QmpCommand.class)
                    .map(QmpInputFuzzTest::value);
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
    }

    private static QmpCommand<?, ?> value(Field field) {
        try {
            return (QmpCommand<?, ?>) field.get(null);
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }

    /** One connection's input; the entry for a fuzzer. */
    public static void fuzzerTestOneInput(byte[] data) {
        JsonStreamParser parser = new JsonStreamParser();
        ByteBuffer bytes = ByteBuffer.wrap(data);
        for (var m = parser.next(bytes); m != null; m = parser.next(bytes)) {
            answer(m);
        }
        for (var m = parser.end(); m != null; m = parser.end()) {
            answer(m);
        }
        assertTrue(parser.isIdle());
    }

    private static void answer(JsonStreamParser.Message message) {
        JsonValue value = message.value();
        if (value == null) {
            assertFalse(String.valueOf(message.error()).isBlank());
            return;
        }
        JsonObject reply = TABLE.dispatch(value, true);
        if (reply != null) {
            assertTrue(reply.has("error"), () -> "nothing is run here: " + reply);
            JsonPrinter.compact(reply);
        }
    }

    @Test
    void seedsAreHarmless() throws IOException {
        assertTrue(TABLE.names().size() > 100, "the commands were found");
        try (Stream<Path> seeds = Files.list(Path.of("src/test/fuzz/QmpInputFuzzTest"))) {
            for (Path seed : seeds.sorted().toList()) {
                fuzzerTestOneInput(Files.readAllBytes(seed));
            }
        }
    }
}
