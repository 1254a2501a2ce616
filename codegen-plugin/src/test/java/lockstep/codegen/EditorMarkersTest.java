package lockstep.codegen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.qapi.InvalidSchemaException;
import lockstep.qapi.SchemaLoader;

import org.codehaus.plexus.build.BuildContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What an editor is told. */
class EditorMarkersTest {
    @TempDir private Path directory;

    @Test
    void errorsAreMarkedInTheirFileAndLine() throws IOException {
        Path main = directory.resolve("main.json");
        Path part = directory.resolve("part.json");
        Files.writeString(main, "{ 'include': 'part.json' }\n");
        Files.writeString(part, "\n{ 'struct': 'First', 'data': { 'a': 'Nothing' } }\n{ ?\n");
        InvalidSchemaException e =
                assertThrows(
                        InvalidSchemaException.class, () -> SchemaLoader.load(main.toString()));
        List<List<Object>> told = new ArrayList<>();
        BuildContext editor =
                (BuildContext)
                        Proxy.newProxyInstance(
                                BuildContext.class.getClassLoader(),
                                new Class<?>[] {BuildContext.class},
                                (proxy, method, args) -> {
                                    told.add(Arrays.asList(args));
                                    return null;
                                });
        new EditorMarkers(editor).mark(e.errors());
        assertEquals(part.toFile(), told.get(0).get(0));
        assertEquals(3, told.get(0).get(1));
        assertEquals(3, told.get(0).get(2));
        assertEquals(BuildContext.SEVERITY_ERROR, told.get(0).get(4));
        told.clear();
        new EditorMarkers(editor).clear(List.of(main, part));
        assertEquals(List.of(List.of(main.toFile()), List.of(part.toFile())), told);
    }
}
