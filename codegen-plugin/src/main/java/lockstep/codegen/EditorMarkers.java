package lockstep.codegen;

import lockstep.qapi.syntax.SchemaError;

import org.codehaus.plexus.build.BuildContext;

import java.io.File;
import java.nio.file.Path;
import java.util.List;

/** Errors at their lines in an editor that runs the build; on the command line they are logged. */
final class EditorMarkers {
    private final BuildContext editor;

    EditorMarkers(BuildContext editor) {
        this.editor = editor;
    }

    /** Removes what was marked in files before. */
    void clear(List<Path> files) {
        files.forEach(file -> editor.removeMessages(file.toFile()));
    }

    /** Marks errors, each in the file it is in. */
    void mark(List<SchemaError> errors) {
        for (SchemaError error : errors) {
            editor.addMessage(
                    new File(error.info().file()),
                    error.info().line(),
                    error.column(),
                    error.message(),
                    BuildContext.SEVERITY_ERROR,
                    null);
        }
    }
}
