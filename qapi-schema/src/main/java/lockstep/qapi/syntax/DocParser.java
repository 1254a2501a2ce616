package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads one documentation comment, from its opening {@code ##} to its closing one. Most errors in it
 * are noted and reading goes on.
 */
final class DocParser {
    private static final Pattern TAGGED =
            Pattern.compile("(Returns|Errors|Since|Notes?|Examples?|TODO)(?!::): *");
    private static final int WIDTH = 70;

    private final Lexer lexer;
    private final DocLineRules rules = new DocLineRules();
    private final ErrorLog log;
    private DocComment doc;

    DocParser(Lexer lexer, ErrorLog log) {
        this.lexer = lexer;
        this.log = log;
        this.doc = new DocComment(lexer.info(), null);
    }

    /** What has been read so far. */
    DocComment doc() {
        return doc;
    }

    /**
     * Reads up to the closing mark.
     *
     * @throws SchemaErrorException when something else than a comment comes before it
     */
    void parse() {
        if (!lexer.value.equals("##")) {
            report("junk after '##' at start of documentation comment");
            if (!lexer.commentFollows() || lexer.value.matches("####+")) {
                // A line drawn between definitions.
                return;
            }
        }
        lexer.next(false);
        String line = line();
        if (line != null && line.startsWith("@")) {
            if (!line.endsWith(":")) {
                report("line should end with ':'");
            }
            String symbol = line.substring(1, line.length() - (line.endsWith(":") ? 1 : 0));
            if (symbol.isEmpty()) {
                report("name required after '@'");
            }
            boolean sound = doc.sound();
            doc = new DocComment(doc.info(), symbol.isEmpty() ? null : symbol);
            if (!sound) {
                doc.spoil();
            }
            definition(advance());
        } else {
            freeForm(line);
        }
    }

    /** To be called when the token after the comment has been read. */
    void end() {
        doc.end();
        for (DocComment.Section section : doc.sections()) {
            if (section.kind() != DocComment.Kind.PLAIN && section.written().isEmpty()) {
                log.report(section.info(), "text required after '" + section.kind() + ":'");
            }
        }
    }

    private void report(String message) {
        doc.spoil();
        log.report(lexer.error(message).error());
    }

    private void reportSection(String message) {
        doc.spoil();
        log.report(lexer.info(), message);
    }

    private void definition(@Nullable String first) {
        boolean noMoreMembers = false;
        String line = skipBlank(first);
        while (line != null) {
            String name = name(line);
            Matcher tagged = TAGGED.matcher(line);
            if (line.equals("Features:")) {
                line = features();
                noMoreMembers = true;
            } else if (name != null) {
                if (noMoreMembers) {
                    report("description of '@" + name + ":' follows a section");
                }
                line = descriptions(DocComment.Kind.MEMBER, line);
                noMoreMembers = true;
            } else if (tagged.lookingAt()) {
                DocComment.Section section = tagged(tagged);
                noMoreMembers |= section.kind() != DocComment.Kind.PLAIN;
                line = indented(section, line.substring(tagged.end()));
            } else {
                line = paragraph(doc.plain(lexer.info()), line);
            }
            line = skipBlank(line);
        }
    }

    private @Nullable String features() {
        if (doc.hasFeatures()) {
            report("duplicated 'Features:' line");
        }
        String line = skipBlank(advance());
        line = descriptions(DocComment.Kind.FEATURE, line);
        if (!doc.hasFeatures()) {
            report("feature descriptions expected");
        }
        return line;
    }

    /** Descriptions of members or of features, as many as follow one another. */
    private @Nullable String descriptions(DocComment.Kind kind, @Nullable String first) {
        String line = first;
        while (line != null) {
            String name = name(line);
            if (name == null) {
                return line;
            }
            if (name.isEmpty()) {
                reportSection("invalid parameter name");
            }
            if (doc.find(kind, name) != null) {
                reportSection("'" + name + "' parameter name duplicated");
            }
            int text = name.length() + 2;
            while (text < line.length() && line.charAt(text) == ' ') {
                text++;
            }
            line = indented(doc.open(kind, name, lexer.info()), line.substring(text));
        }
        return null;
    }

    private DocComment.Section tagged(Matcher match) {
        String tag = match.group(1);
        DocComment.Kind kind =
                switch (tag) {
                    case "Returns" -> DocComment.Kind.RETURNS;
                    case "Errors" -> DocComment.Kind.ERRORS;
                    case "Since" -> DocComment.Kind.SINCE;
                    case "TODO" -> DocComment.Kind.TODO;
                    default -> DocComment.Kind.PLAIN;
                };
        if (tag.startsWith("Note")) {
            report(
                    "The '"
                            + tag
                            + "' section is no longer supported. Please use rST's '.. note::' or"
                            + " '.. admonition:: notes' directives, or another suitable admonition"
                            + " instead.");
        } else if (tag.startsWith("Example")) {
            report(
                    "The '"
                            + tag
                            + "' section is no longer supported. Please use the '.. qmp-example::'"
                            + " directive, or other suitable markup instead.");
        } else if (kind != DocComment.Kind.TODO && doc.find(kind, "") != null) {
            reportSection("duplicated '" + tag + "' section");
        }
        return doc.open(kind, "", lexer.info());
    }

    private void freeForm(@Nullable String first) {
        DocComment.Section section = doc.plain(lexer.info());
        for (String line = first; line != null; line = advance()) {
            String name = name(line);
            if (name != null) {
                report("'@" + name + ":' not allowed in free-form documentation");
            }
            section.append(line);
        }
    }

    /** The text beside a tag and what is indented below; gives the first line that is not. */
    private @Nullable String indented(DocComment.Section section, String besideTag) {
        if (!besideTag.isEmpty()) {
            section.append(besideTag);
        }
        String line = advance();
        while (line != null && line.isEmpty()) {
            section.append(line);
            line = advance();
        }
        int indent = line == null ? 0 : Whitespace.leading(line);
        if (line == null || indent == 0) {
            return line;
        }
        section.append(line);
        boolean second = true;
        while (true) {
            line = advance();
            if (line == null || name(line) != null) {
                return line;
            }
            if (!line.isEmpty() && Whitespace.leading(line) < indent) {
                if (!second) {
                    return line;
                }
                // Only below the first line is less indentation taken for a slip.
                report("unexpected de-indent (expected at least " + indent + " spaces)");
            }
            section.append(line);
            second = false;
        }
    }

    private @Nullable String paragraph(DocComment.Section section, String first) {
        String line = first;
        while (line != null && !line.isEmpty()) {
            section.append(line);
            line = advance();
        }
        return line;
    }

    /** The name when the line starts a description. */
    private static @Nullable String name(String line) {
        if (!line.startsWith("@")) {
            return null;
        }
        int colon = line.indexOf(':');
        return colon < 0 ? null : line.substring(1, colon);
    }

    private @Nullable String skipBlank(@Nullable String start) {
        String line = start;
        while (line != null && line.isEmpty()) {
            line = advance();
        }
        return line;
    }

    /** The next line without its comment mark, or null at the closing {@code ##}. */
    private @Nullable String advance() {
        lexer.next(false);
        return line();
    }

    private @Nullable String line() {
        if (lexer.token != '#') {
            throw lexer.error("documentation comment must end with '##'");
        }
        String value = lexer.value;
        if (value.startsWith("##")) {
            if (!value.equals("##")) {
                report("junk after '##' at end of documentation comment");
                if (lexer.commentFollows()) {
                    return "";
                }
            }
            return null;
        }
        if (value.equals("#")) {
            return "";
        }
        if (value.charAt(1) != ' ') {
            report("missing space after #");
        }
        String line = Whitespace.stripEnd(value.substring(value.charAt(1) == ' ' ? 2 : 1));
        if (!rules.literal(line)) {
            format(line);
        }
        return line;
    }

    /** Errors of format leave the text as good as it is. */
    private void format(String line) {
        if (DocLineRules.width(line) > WIDTH) {
            log.report(lexer.error("documentation line longer than 70 characters").error());
        }
        int sentence = DocLineRules.sentenceAfterOneSpace(line);
        if (sentence >= 0) {
            log.report(
                    lexer.errorInLine(
                                    sentence + 3,
                                    "Use two spaces between sentences\n"
                                            + "If this not the end of a sentence, please report a"
                                            + " bug.")
                            .error());
        }
    }
}
