package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.SchemaError;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Schemas written for a test, and the errors they give without the path of their directory. */
record SchemaFiles(Path directory) {
    private static final String MAIN = "t.json";

    String write(String name, String text) throws IOException {
        Path file = directory.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
        return file.toString();
    }

    Schema load(String text) throws Exception {
        return SchemaLoader.load(write(MAIN, text));
    }

    String firstError(String text) throws IOException {
        String file = write(MAIN, text);
        InvalidSchemaException e =
                assertThrows(InvalidSchemaException.class, () -> SchemaLoader.loadFirstError(file));
        assertEquals(1, e.errors().size());
        return shown(e.errors().get(0));
    }

    /** All errors, of which the first must be the one that comes when there is only one. */
    List<String> allErrors(String text) throws IOException {
        String first = firstError(text);
        String file = directory.resolve(MAIN).toString();
        InvalidSchemaException e =
                assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load(file));
        List<String> all = e.errors().stream().map(this::shown).toList();
        assertEquals(first, all.get(0));
        return all;
    }

    private String shown(SchemaError error) {
        return error.toString().replace(directory + "/", "");
    }
}
