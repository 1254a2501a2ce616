package lockstep.runtime.tls;

import lockstep.api.AuthZListProperties;
import lockstep.api.ObjectOptions;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;

/**
 * {@code authz-list-file}: the rules of {@code authz-list} in a file of JSON. With {@code refresh} it is read for
 * everybody who comes, so that a change counts from the next one on; a file that cannot be read then lets nobody in.
 */
public final class FileAuthorization implements Authorization {
    /** How it is made. */
    public static final QomType<FileAuthorization> TYPE =
            QomType.<FileAuthorization>of("authz-list-file", Authorization.TYPE)
                    .with(
                            "filename",
                            QomKind.STRING,
                            null,
                            o -> o.filename,
                            (o, v) -> o.filename = v)
                    .with("refresh", QomKind.BOOL, null, o -> o.refresh, (o, v) -> o.refresh = v);

    private volatile String filename;
    private volatile Boolean refresh;
    private final ListAuthorization first;

    private FileAuthorization(String filename, Boolean refresh) throws QmpException {
        this.filename = filename;
        this.refresh = refresh;
        first = load(filename);
    }

    /** Makes one of {@code -object} options, from a file that must be right now. */
    public static FileAuthorization create(ObjectOptions.AuthzListFile given) throws QmpException {
        Boolean refresh = given.data().refresh();
        return new FileAuthorization(given.data().filename(), refresh == null || refresh);
    }

    private static ListAuthorization load(String filename) throws QmpException {
        String text;
        try {
            text = Files.readString(Path.of(filename), StandardCharsets.UTF_8);
        } catch (IOException e) {
            String why =
                    e instanceof NoSuchFileException
                            ? Errno.text(Errno.ENOENT)
                            : String.valueOf(e.getMessage());
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR, "Unable to read '" + filename + "': " + why, e);
        }
        JsonValue rules = JsonStreamParser.parse(text);
        if (!(rules instanceof JsonObject)) {
            throw new QmpException("File '" + filename + "' must contain a JSON object");
        }
        return new ListAuthorization(AuthZListProperties.read(new JsonInputVisitor(rules), null));
    }

    @Override
    public boolean allows(String who) throws QmpException {
        return (refresh ? load(filename) : first).allows(who);
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {}
}
