package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads one documentation comment, from its opening {@code ##} to its closing one. */
final class DocParser {
    private static final Pattern NAMED = Pattern.compile("@([^:]*): *");
    private static final Pattern TAGGED =
            Pattern.compile("(Returns|Errors|Since|Notes?|Examples?|TODO)(?!::): *");
    private static final Pattern INDENT = Pattern.compile("\\s*");

    private final Lexer lexer;

    DocParser(Lexer lexer) {
        this.lexer = lexer;
    }

    DocComment parse(SourceInfo info) {
        if (!lexer.value.equals("##")) {
            throw lexer.error("junk after '##' at start of documentation comment");
        }
        String line = skipBlank(advance());
        DocComment doc;
        if (line != null && line.startsWith("@")) {
            if (!line.endsWith(":")) {
                throw lexer.error("line should end with ':'");
            }
            String symbol = line.substring(1, line.length() - 1);
            if (symbol.isEmpty()) {
                throw lexer.error("name required after '@'");
            }
            doc = new DocComment(info, symbol);
            definition(doc);
        } else {
            doc = new DocComment(info, null);
            freeForm(doc, line);
        }
        lexer.next();
        return doc;
    }

    private void definition(DocComment doc) {
        boolean noMoreArguments = false;
        boolean features = false;
        String line = advance();
        while (true) {
            line = skipBlank(line);
            if (line == null) {
                return;
            }
            Matcher tagged = TAGGED.matcher(line);
            if (line.equals("Features:")) {
                if (features) {
                    throw lexer.error("duplicated 'Features:' line");
                }
                features = true;
                line = skipBlank(advance());
                boolean any = false;
                while (line != null && named(line) != null) {
                    line = member(doc, DocComment.Kind.FEATURE, line);
                    any = true;
                }
                if (!any) {
                    throw lexer.error("feature descriptions expected");
                }
                noMoreArguments = true;
            } else if (named(line) != null) {
                Matcher name = NAMED.matcher(line);
                if (noMoreArguments && name.lookingAt()) {
                    throw lexer.error("description of '@" + name.group(1) + ":' follows a section");
                }
                while (line != null && named(line) != null) {
                    line = member(doc, DocComment.Kind.MEMBER, line);
                }
                noMoreArguments = true;
            } else if (tagged.lookingAt()) {
                line = tagged(doc, tagged, line);
                noMoreArguments = true;
            } else if (line.startsWith("=")) {
                throw lexer.error("unexpected '=' markup in definition documentation");
            } else {
                DocComment.Section section = doc.last();
                if (section == null || section.kind() != DocComment.Kind.PLAIN) {
                    section = doc.open(DocComment.Kind.PLAIN, "", lexer.info());
                } else {
                    section.append("");
                }
                line = paragraph(section, line);
            }
        }
    }

    private @Nullable String tagged(DocComment doc, Matcher match, String line) {
        String tag = match.group(1);
        if (tag.startsWith("Note")) {
            throw lexer.error(
                    "The '"
                            + tag
                            + "' section is no longer supported. Please use rST's '.. note::' or"
                            + " '.. admonition:: notes' directives, or another suitable admonition"
                            + " instead.");
        }
        if (tag.startsWith("Example")) {
            throw lexer.error(
                    "The '"
                            + tag
                            + "' section is no longer supported. Please use the '.. qmp-example::'"
                            + " directive, or other suitable markup instead.");
        }
        DocComment.Kind kind =
                switch (tag) {
                    case "Returns" -> DocComment.Kind.RETURNS;
                    case "Errors" -> DocComment.Kind.ERRORS;
                    case "Since" -> DocComment.Kind.SINCE;
                    default -> DocComment.Kind.TODO;
                };
        for (DocComment.Section other : doc.sections()) {
            if (other.kind() == kind && kind != DocComment.Kind.TODO) {
                throw lexer.error("duplicated '" + tag + "' section");
            }
        }
        DocComment.Section section = doc.open(kind, "", lexer.info());
        String rest = line.substring(match.end());
        if (!rest.isEmpty()) {
            section.append(rest);
        }
        return indented(section);
    }

    private @Nullable String member(DocComment doc, DocComment.Kind kind, String line) {
        Matcher match = NAMED.matcher(line);
        if (!match.lookingAt()) {
            throw new IllegalStateException(line);
        }
        String name = match.group(1);
        if (name.isEmpty()) {
            throw lexer.error("invalid parameter name");
        }
        if (doc.find(DocComment.Kind.MEMBER, name) != null
                || doc.find(DocComment.Kind.FEATURE, name) != null) {
            throw lexer.error("'" + name + "' parameter name duplicated");
        }
        DocComment.Section section = doc.open(kind, name, lexer.info());
        String rest = line.substring(match.end());
        if (!rest.isEmpty()) {
            section.append(rest);
        }
        return indented(section);
    }

    private void freeForm(DocComment doc, @Nullable String start) {
        DocComment.Section section = doc.open(DocComment.Kind.PLAIN, "", lexer.info());
        boolean first = true;
        for (String line = start; line != null; line = advance()) {
            Matcher match = NAMED.matcher(line);
            if (match.lookingAt()) {
                throw lexer.error(
                        "'@" + match.group(1) + ":' not allowed in free-form documentation");
            }
            if (line.startsWith("=") && !first) {
                throw lexer.error("'=' heading must come first in a comment block");
            }
            section.append(line);
            first = false;
        }
    }

    /** Lines indented below a tag; gives the first line after them that is not blank. */
    private @Nullable String indented(DocComment.Section section) {
        String line = skipBlank(advance());
        if (line == null) {
            return null;
        }
        int indent = indent(line);
        if (indent == 0) {
            return line;
        }
        section.append(line.substring(indent));
        int blanks = 0;
        while (true) {
            line = advance();
            if (line == null) {
                return null;
            }
            if (line.isEmpty()) {
                blanks++;
                continue;
            }
            int here = indent(line);
            if (here == 0) {
                return line;
            }
            if (here < indent) {
                throw lexer.error("unexpected de-indent (expected at least " + indent + " spaces)");
            }
            for (; blanks > 0; blanks--) {
                section.append("");
            }
            section.append(line.substring(indent));
        }
    }

    private @Nullable String paragraph(DocComment.Section section, String start) {
        section.append(start);
        while (true) {
            String line = advance();
            if (line == null || line.isEmpty()) {
                return line;
            }
            section.append(line);
        }
    }

    private static int indent(String line) {
        Matcher match = INDENT.matcher(line);
        return match.lookingAt() ? match.end() : 0;
    }

    private static @Nullable String named(String line) {
        Matcher match = NAMED.matcher(line);
        return match.lookingAt() ? match.group(1) : null;
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
        if (lexer.token != '#') {
            throw lexer.error("documentation comment must end with '##'");
        }
        String value = lexer.value;
        if (value.startsWith("##")) {
            if (!value.equals("##")) {
                throw lexer.error("junk after '##' at end of documentation comment");
            }
            return null;
        }
        if (value.equals("#")) {
            return "";
        }
        if (value.charAt(1) != ' ') {
            throw lexer.error("missing space after #");
        }
        return value.substring(2).stripTrailing();
    }
}
