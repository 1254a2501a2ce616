package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Reads a schema file and everything it includes into expression trees. */
public final class SchemaParser {
    private final boolean firstErrorOnly;
    private final Pragmas pragmas = new Pragmas();
    private final Set<Path> seen = new HashSet<>();
    private final List<ParsedSchema.Module> modules = new ArrayList<>();
    private final List<DocComment> docs = new ArrayList<>();
    private final List<SchemaError> errors = new ArrayList<>();

    private SchemaParser(boolean firstErrorOnly) {
        this.firstErrorOnly = firstErrorOnly;
    }

    /**
     * Parses a schema.
     *
     * @param mainFile path as it shall appear in messages, relative to the working directory
     * @param firstErrorOnly whether to stop at the first error
     */
    public static ParsedSchema parse(String mainFile, boolean firstErrorOnly) {
        SchemaParser parser = new SchemaParser(firstErrorOnly);
        try {
            parser.file(mainFile, null, mainFile);
        } catch (SchemaErrorException e) {
            parser.errors.add(e.error());
        }
        return new ParsedSchema(
                List.copyOf(parser.modules),
                parser.pragmas,
                List.copyOf(parser.docs),
                List.copyOf(parser.errors));
    }

    private void file(String name, @Nullable SourceInfo includer, String shown) {
        Path path = Path.of(name);
        Path canonical = path.toAbsolutePath().normalize();
        if (!seen.add(canonical)) {
            return;
        }
        String text;
        try {
            text = Files.readString(path, StandardCharsets.UTF_8);
        } catch (IOException e) {
            SourceInfo at = includer == null ? new SourceInfo(name, 0, null, null) : includer;
            String what = includer == null ? "schema" : "include";
            String message = "can't read " + what + " file '" + shown + "': " + reason(e);
            throw new SchemaErrorException(at, message);
        }
        List<ParsedSchema.Item> items = new ArrayList<>();
        modules.add(new ParsedSchema.Module(name, path, items));
        new FileParser(new SourceInfo(name, 0, includer, null), text, items).run();
    }

    private static String reason(IOException e) {
        if (e instanceof NoSuchFileException) {
            return "No such file or directory";
        }
        if (e instanceof AccessDeniedException) {
            return "Permission denied";
        }
        String message = e.getMessage();
        return message == null ? e.toString() : message;
    }

    /** The parser of one file. */
    private final class FileParser {
        private final SourceInfo file;
        private final Lexer lexer;
        private final List<ParsedSchema.Item> items;
        private @Nullable DocComment pending;

        FileParser(SourceInfo file, String text, List<ParsedSchema.Item> items) {
            this.file = file;
            this.items = items;
            this.lexer = new Lexer(file, text);
        }

        void run() {
            boolean started = false;
            while (true) {
                try {
                    if (!started) {
                        started = true;
                        lexer.next();
                    }
                    while (lexer.token != Lexer.END) {
                        topLevel();
                    }
                    rejectPending();
                    return;
                } catch (SchemaErrorException e) {
                    if (firstErrorOnly) {
                        throw e;
                    }
                    errors.add(e.error());
                    boolean atEnd = lexer.token == Lexer.END && pending != null;
                    pending = null;
                    if (atEnd) {
                        return;
                    }
                    // Errors found after an expression leave the lexer at a good place.
                    if (e.error().column() > 0) {
                        lexer.resynchronize();
                    }
                }
            }
        }

        private void topLevel() {
            SourceInfo info = lexer.info();
            if (lexer.token == '#') {
                rejectPending();
                DocComment doc = new DocParser(lexer).parse(info);
                docs.add(doc);
                pending = doc;
                return;
            }
            Node node = expression();
            if (!(node instanceof Node.Obj object)) {
                throw new SchemaErrorException(info, "top-level expression must be an object");
            }
            Map<String, Node> members = object.members();
            if (members.containsKey("include")) {
                rejectPending();
                include(members, info);
            } else if (members.containsKey("pragma")) {
                rejectPending();
                pragma(members, info);
            } else {
                DocComment doc = pending;
                pending = null;
                if (doc != null && doc.symbol() == null) {
                    throw new SchemaErrorException(doc.info(), "definition documentation required");
                }
                items.add(new ParsedSchema.Definition(new Expression(members, info, doc)));
            }
            pending = null;
        }

        private void rejectPending() {
            DocComment doc = pending;
            pending = null;
            if (doc != null && doc.symbol() != null) {
                throw new SchemaErrorException(
                        doc.info(),
                        "documentation for '"
                                + doc.symbol()
                                + "' is not followed by the definition");
            }
        }

        private void include(Map<String, Node> members, SourceInfo info) {
            if (members.size() != 1) {
                throw new SchemaErrorException(info, "invalid 'include' directive");
            }
            if (!(members.get("include") instanceof Node.Str name)) {
                throw new SchemaErrorException(info, "value of 'include' must be a string");
            }
            int slash = file.file().lastIndexOf('/');
            String target =
                    name.value().startsWith("/")
                            ? name.value()
                            : file.file().substring(0, slash + 1) + name.value();
            items.add(new ParsedSchema.Include(target));
            Path wanted = Path.of(target).toAbsolutePath().normalize();
            for (SourceInfo up = info; up != null; up = up.parent()) {
                if (Path.of(up.file()).toAbsolutePath().normalize().equals(wanted)) {
                    throw new SchemaErrorException(info, "inclusion loop for " + name.value());
                }
            }
            file(target, info, target);
        }

        private void pragma(Map<String, Node> members, SourceInfo info) {
            if (members.size() != 1) {
                throw new SchemaErrorException(info, "invalid 'pragma' directive");
            }
            if (!(members.get("pragma") instanceof Node.Obj settings)) {
                throw new SchemaErrorException(info, "value of 'pragma' must be an object");
            }
            settings.members().forEach((name, value) -> setting(name, value, info));
        }

        private void setting(String name, Node value, SourceInfo info) {
            switch (name) {
                case "doc-required" -> {
                    if (!(value instanceof Node.Bool bool)) {
                        throw new SchemaErrorException(
                                info, "pragma 'doc-required' must be boolean");
                    }
                    pragmas.docRequired = bool.value();
                }
                case "command-name-exceptions" -> strings(name, value, pragmas.commandNames, info);
                case "command-returns-exceptions" ->
                        strings(name, value, pragmas.commandReturns, info);
                case "documentation-exceptions" ->
                        strings(name, value, pragmas.documentation, info);
                case "member-name-exceptions" -> strings(name, value, pragmas.memberNames, info);
                default -> throw new SchemaErrorException(info, "unknown pragma '" + name + "'");
            }
        }

        private void strings(String name, Node value, Set<String> into, SourceInfo info) {
            Set<String> read = new HashSet<>();
            boolean good = value instanceof Node.Arr;
            if (value instanceof Node.Arr list) {
                for (Node element : list.elements()) {
                    if (element instanceof Node.Str string) {
                        read.add(string.value());
                    } else {
                        good = false;
                    }
                }
            }
            if (!good) {
                throw new SchemaErrorException(
                        info, "pragma " + name + " must be a list of strings");
            }
            into.clear();
            into.addAll(read);
        }

        private Node expression() {
            switch (lexer.token) {
                case '{' -> {
                    lexer.next();
                    return new Node.Obj(members());
                }
                case '[' -> {
                    lexer.next();
                    return new Node.Arr(elements());
                }
                case '\'' -> {
                    Node string = new Node.Str(lexer.value);
                    lexer.next();
                    return string;
                }
                case 't', 'f' -> {
                    Node bool = new Node.Bool(lexer.token == 't');
                    lexer.next();
                    return bool;
                }
                default -> throw lexer.error("expected '{', '[', string, or boolean");
            }
        }

        private Map<String, Node> members() {
            Map<String, Node> result = new LinkedHashMap<>();
            if (lexer.token == '}') {
                lexer.next();
                return result;
            }
            if (lexer.token != '\'') {
                throw lexer.error("expected string or '}'");
            }
            while (true) {
                String key = lexer.value;
                lexer.next();
                if (lexer.token != ':') {
                    throw lexer.error("expected ':'");
                }
                lexer.next();
                if (result.containsKey(key)) {
                    throw lexer.error("duplicate key '" + key + "'");
                }
                result.put(key, expression());
                if (lexer.token == '}') {
                    lexer.next();
                    return result;
                }
                if (lexer.token != ',') {
                    throw lexer.error("expected ',' or '}'");
                }
                lexer.next();
                if (lexer.token != '\'') {
                    throw lexer.error("expected string");
                }
            }
        }

        private List<Node> elements() {
            List<Node> result = new ArrayList<>();
            if (lexer.token == ']') {
                lexer.next();
                return result;
            }
            if ("{['tf".indexOf(lexer.token) < 0) {
                throw lexer.error("expected '{', '[', ']', string, or boolean");
            }
            while (true) {
                result.add(expression());
                if (lexer.token == ']') {
                    lexer.next();
                    return result;
                }
                if (lexer.token != ',') {
                    throw lexer.error("expected ',' or ']'");
                }
                lexer.next();
            }
        }
    }
}
