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
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads a schema file and everything it includes into expression trees. */
public final class SchemaParser {
    /** Files that include files; far above what anybody writes, and safe for a default stack. */
    private static final int INCLUDE_LIMIT = 200;

    /** Values in values, likewise. */
    private static final int VALUE_LIMIT = 400;

    private static final Set<String> DEFINITIONS =
            Set.of("enum", "struct", "union", "alternate", "command", "event");

    /** What looks like the start of a definition, also with wrong or missing punctuation. */
    private static final Pattern NAMED =
            Pattern.compile(
                    "\\b(?:"
                            + String.join("|", DEFINITIONS)
                            + ")\\b"
                            + "['\"]?\\s*:?\\s*['\"]?([A-Za-z0-9_.-]+)");

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

    private void loseFile() {
        complete = false;
        pragmas.lose();
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
                    passOver(lexer.skipExpression(start));
                    expectNext = true;
                }
            } while (expectNext || lexer.token != Lexer.END);
            rejectPending();
        }

        /** Remembers what a broken expression may have been about. */
        private void passOver(String text) {
            Matcher named = NAMED.matcher(text);
            while (named.find()) {
                lost.add(named.group(1));
            }
            if (text.contains("include")) {
                loseFile();
            }
            if (text.contains("pragma")) {
                pragmas.lose();
            }
            if (pending != null) {
                pending.spoil();
                String symbol = pending.symbol();
                if (symbol != null) {
                    lost.add(symbol);
                }
            }
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
            nesting = 0;
            Node node = expression();
            if (!(node instanceof Node.Obj object)) {
                String message = "top-level expression must be an object";
                throw new SchemaErrorException(new SchemaError(info, 0, message));
            }
            DocComment doc = pending;
            pending = null;
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
                if (members.keySet().stream().noneMatch(DEFINITIONS::contains)) {
                    // It may have been meant as an include.
                    complete = false;
                }
            }
        }

        private void documentation() {
            DocParser parser = new DocParser(lexer, log);
            try {
                parser.parse();
            } catch (SchemaErrorException e) {
                log.report(e.error());
                parser.doc().spoil();
                lexer.skipDocumentation();
            }
            pending = parser.doc();
            docs.add(pending);
            lexer.next();
            parser.end();
        }

        private void rejectPending() {
            reject(pending);
            pending = null;
        }

        private void reject(@Nullable DocComment doc) {
            if (doc != null && doc.symbol() != null && doc.sound()) {
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
                loseFile();
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
                if (depth == INCLUDE_LIMIT) {
                    log.report(info, "includes nest more than " + INCLUDE_LIMIT + " deep");
                    return;
                }
                SchemaParser.this.file(target, info, depth + 1);
            } catch (IOException e) {
                loseFile();
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
                pragmas.lose();
                return;
            }
            settings.members().forEach((name, value) -> setting(name, value, info));
        }

        private void setting(String name, Node value, SourceInfo info) {
            Pragmas.Rule rule = Pragmas.Rule.of(name);
            if (rule != null) {
                exceptions(name, rule, value, info);
            } else if (!name.equals("doc-required")) {
                log.report(info, "unknown pragma '" + name + "'");
                pragmas.lose();
            } else if (value instanceof Node.Bool bool) {
                pragmas.requireDocs(bool.value());
            } else {
                log.report(info, "pragma 'doc-required' must be boolean");
            }
        }

        private void exceptions(String name, Pragmas.Rule rule, Node value, SourceInfo info) {
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
            pragmas.except(rule, read);
            if (!good) {
                log.report(info, "pragma " + name + " must be a list of strings");
                pragmas.lose();
            }
        }

        private Node expression() {
            switch (lexer.token) {
                case '{', '[' -> {
                    if (++nesting > VALUE_LIMIT) {
                        throw lexer.error("values nest more than " + VALUE_LIMIT + " deep");
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
