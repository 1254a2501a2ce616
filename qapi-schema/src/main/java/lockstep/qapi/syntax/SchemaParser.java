package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Reads a schema file and everything it includes into expression trees. */
public final class SchemaParser {
    /** Includes below includes, and values below values; far above what anybody writes. */
    private static final int DEPTH_LIMIT = 1000;

    private final ErrorLog log;
    private final Pragmas pragmas = new Pragmas();
    private final Set<Path> seen = new HashSet<>();
    private final Map<String, Path> modules = new LinkedHashMap<>();
    private final List<ParsedSchema.Item> items = new ArrayList<>();
    private final List<DocComment> docs = new ArrayList<>();
    private final Set<String> lost = new HashSet<>();
    private boolean complete = true;

    private SchemaParser(ErrorLog log) {
        this.log = log;
    }

    /**
     * Parses a schema.
     *
     * @param mainFile path as it shall appear in messages, relative to the working directory
     * @param log takes the errors of syntax
     * @throws SchemaErrorException when the log ends the run
     */
    public static ParsedSchema parse(String mainFile, ErrorLog log) {
        SchemaParser parser = new SchemaParser(log);
        try {
            parser.file(mainFile, null, 0);
        } catch (IOException e) {
            SourceInfo nowhere = new SourceInfo(mainFile, 0, null, null);
            String reason = SourceFile.reason(e);
            log.report(nowhere, "can't read schema file '" + mainFile + "': " + reason);
        }
        return new ParsedSchema(
                parser.modules,
                parser.items,
                parser.docs,
                parser.pragmas,
                parser.lost,
                parser.complete);
    }

    private void file(String name, @Nullable SourceInfo includer, int depth) throws IOException {
        Path path = SourceFile.path(name);
        if (!seen.add(canonical(path))) {
            return;
        }
        String text = SourceFile.read(path);
        modules.put(name, path);
        new FileParser(new SourceInfo(name, 0, includer, null), text, depth).run();
    }

    private static Path canonical(Path path) {
        return path.toAbsolutePath().normalize();
    }

    /** The parser of one file. */
    private final class FileParser {
        private final SourceInfo file;
        private final Lexer lexer;
        private final int depth;
        private @Nullable DocComment pending;
        private int nesting;

        FileParser(SourceInfo file, String text, int depth) {
            this.file = file;
            this.lexer = new Lexer(file, text);
            this.depth = depth;
        }

        void run() {
            int start = 0;
            boolean expectNext = true;
            do {
                try {
                    if (expectNext) {
                        lexer.next();
                        expectNext = false;
                    }
                    start = lexer.position;
                    topLevel();
                } catch (SchemaErrorException e) {
                    log.report(e.error());
                    lexer.skipExpression(start, lost);
                    pending = null;
                    expectNext = true;
                }
            } while (expectNext || lexer.token != Lexer.END);
            rejectPending();
        }

        private void topLevel() {
            if (lexer.token == Lexer.END) {
                return;
            }
            if (lexer.token == '#') {
                rejectPending();
                documentation();
                return;
            }
            SourceInfo info = lexer.info();
            DocComment doc = pending;
            nesting = 0;
            Node node = expression();
            pending = null;
            if (!(node instanceof Node.Obj object)) {
                log.report(info, "top-level expression must be an object");
                return;
            }
            Map<String, Node> members = object.members();
            if (members.containsKey("include")) {
                reject(doc);
                include(members, info);
            } else if (members.containsKey("pragma")) {
                reject(doc);
                pragma(members, info);
            } else {
                if (doc != null && doc.symbol() == null && doc.sound()) {
                    log.report(doc.info(), "definition documentation required");
                    doc.spoil();
                }
                items.add(new Expression(members, info, doc));
            }
        }

        private void documentation() {
            DocParser parser = new DocParser(lexer, log);
            try {
                pending = parser.parse();
                docs.add(pending);
            } catch (SchemaErrorException e) {
                log.report(e.error());
                pending = parser.broken();
                lexer.skipDocumentation();
                lexer.next();
            }
        }

        private void rejectPending() {
            reject(pending);
            pending = null;
        }

        private void reject(@Nullable DocComment doc) {
            if (doc != null && doc.symbol() != null) {
                log.report(
                        doc.info(),
                        "documentation for '"
                                + doc.symbol()
                                + "' is not followed by the definition");
            }
        }

        private void include(Map<String, Node> members, SourceInfo info) {
            if (members.size() != 1) {
                log.report(info, "invalid 'include' directive");
            }
            if (!(members.get("include") instanceof Node.Str name)) {
                log.report(info, "value of 'include' must be a string");
                complete = false;
                return;
            }
            String target = SourceFile.beside(file.file(), name.value());
            items.add(new ParsedSchema.Include(target, info));
            try {
                Path wanted = canonical(SourceFile.path(target));
                for (SourceInfo up = info; up != null; up = up.parent()) {
                    if (canonical(SourceFile.path(up.file())).equals(wanted)) {
                        log.report(info, "inclusion loop for " + name.value());
                        return;
                    }
                }
                if (depth == DEPTH_LIMIT) {
                    log.report(info, "includes nest more than " + DEPTH_LIMIT + " deep");
                    return;
                }
                SchemaParser.this.file(target, info, depth + 1);
            } catch (IOException e) {
                complete = false;
                String reason = SourceFile.reason(e);
                log.report(info, "can't read include file '" + target + "': " + reason);
            }
        }

        private void pragma(Map<String, Node> members, SourceInfo info) {
            if (members.size() != 1) {
                log.report(info, "invalid 'pragma' directive");
            }
            if (!(members.get("pragma") instanceof Node.Obj settings)) {
                log.report(info, "value of 'pragma' must be an object");
                return;
            }
            settings.members().forEach((name, value) -> setting(name, value, info));
        }

        private void setting(String name, Node value, SourceInfo info) {
            switch (name) {
                case "doc-required" -> {
                    if (value instanceof Node.Bool bool) {
                        pragmas.docRequired = bool.value();
                    } else {
                        log.report(info, "pragma 'doc-required' must be boolean");
                    }
                }
                case "command-name-exceptions" -> strings(name, value, pragmas.commandNames, info);
                case "command-returns-exceptions" ->
                        strings(name, value, pragmas.commandReturns, info);
                case "documentation-exceptions" ->
                        strings(name, value, pragmas.documentation, info);
                case "member-name-exceptions" -> strings(name, value, pragmas.memberNames, info);
                default -> log.report(info, "unknown pragma '" + name + "'");
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
            into.clear();
            into.addAll(read);
            if (!good) {
                log.report(info, "pragma " + name + " must be a list of strings");
            }
        }

        private Node expression() {
            switch (lexer.token) {
                case '{', '[' -> {
                    if (++nesting > DEPTH_LIMIT) {
                        throw lexer.error("values nest more than " + DEPTH_LIMIT + " deep");
                    }
                    boolean object = lexer.token == '{';
                    lexer.next();
                    Node node = object ? new Node.Obj(members()) : new Node.Arr(elements());
                    nesting--;
                    return node;
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
