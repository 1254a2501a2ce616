package lockstep.shell;

import java.util.ArrayList;
import java.util.List;

/**
 * A line in words, as a shell would take it apart: single quotes, double quotes and the backslash keep
 * white space. A value that begins with a bracket goes to the one that closes it, so that JSON needs no
 * quotes around it.
 */
final class Words {
    private final String line;
    private final StringBuilder word = new StringBuilder();
    private int at;

    private Words(String line) {
        this.line = line;
    }

    static List<String> of(String line) throws UsageException {
        Words words = new Words(line);
        List<String> result = new ArrayList<>();
        while (words.skipSpace()) {
            result.add(words.word());
        }
        return result;
    }

    private boolean skipSpace() {
        while (at < line.length() && Character.isWhitespace(line.charAt(at))) {
            at++;
        }
        return at < line.length();
    }

    private String word() throws UsageException {
        word.setLength(0);
        boolean value = true;
        while (at < line.length() && !Character.isWhitespace(line.charAt(at))) {
            char c = line.charAt(at++);
            if (value && (c == '{' || c == '[')) {
                at--;
                json();
            } else if (c == '\'' || c == '"') {
                quoted(c);
            } else if (c == '\\' && at < line.length()) {
                word.append(line.charAt(at++));
            } else {
                word.append(c);
            }
            value = c == '=';
        }
        return word.toString();
    }

    private void quoted(char quote) throws UsageException {
        while (at < line.length()) {
            char c = line.charAt(at++);
            if (c == quote) {
                return;
            }
            if (c == '\\' && quote == '"' && at < line.length()) {
                word.append(line.charAt(at++));
            } else {
                word.append(c);
            }
        }
        throw new UsageException("a quote " + quote + " is not closed");
    }

    private void json() throws UsageException {
        int depth = 0;
        char quote = 0;
        while (at < line.length()) {
            char c = line.charAt(at++);
            word.append(c);
            if (c == '\\' && quote != 0 && at < line.length()) {
                word.append(line.charAt(at++));
            } else if (quote != 0) {
                quote = c == quote ? 0 : quote;
            } else if (c == '"' || c == '\'') {
                quote = c;
            } else if (c == '{' || c == '[') {
                depth++;
            } else if ((c == '}' || c == ']') && --depth == 0) {
                return;
            }
        }
        throw new UsageException("a bracket is not closed");
    }
}
