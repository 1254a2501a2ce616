package lockstep.runtime.monitor;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.Consumer;

/**
 * Edits one line of text on a terminal that only knows cursor left and right and erase-to-end-of-line.
 * Pure: keys go in, text for the terminal comes out.
 */
final class LineEditor {
    /** What stands in front of the line. */
    static final String PROMPT = "(qemu) ";

    private static final int MAXIMUM = 4095;
    private static final int HISTORY = 64;
    private static final String LEFT = "\u001b[D";
    private static final String RIGHT = "\u001b[C";
    private static final String ERASE = "\u001b[K";
    private static final String CLEAR = "\u001b[2J\u001b[1;1H";

    private enum Mode {
        TEXT,
        ESCAPE,
        SEQUENCE,
        SHIFT_THREE
    }

    private final StringBuilder line = new StringBuilder();
    private final List<String> history = new ArrayList<>();
    private final Consumer<String> terminal;
    private final Consumer<String> enter;

    /** From the text in front of the cursor and the terminal to the text to insert. */
    private final BiFunction<String, Consumer<String>, String> completer;

    private Mode mode = Mode.TEXT;
    private int parameter;
    private int cursor;
    private String shown = "";
    private int shownCursor;
    private int historyAt;

    LineEditor(
            Consumer<String> terminal,
            Consumer<String> enter,
            BiFunction<String, Consumer<String>, String> completer) {
        this.terminal = terminal;
        this.enter = enter;
        this.completer = completer;
    }

    /** Begins a new line; the prompt has just been printed. */
    void restart() {
        line.setLength(0);
        cursor = 0;
        shown = "";
        shownCursor = 0;
        mode = Mode.TEXT;
        historyAt = history.size();
    }

    /** The lines entered before, numbered, the oldest first. */
    String history() {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < history.size(); i++) {
            out.append(i).append(": '").append(history.get(i)).append("'\n");
        }
        return out.toString();
    }

    /** One byte from the keyboard. */
    void key(int b) {
        switch (mode) {
            case TEXT -> text(b);
            case ESCAPE -> {
                if (b == '[') {
                    mode = Mode.SEQUENCE;
                    parameter = 0;
                } else if (b == 'O') {
                    mode = Mode.SHIFT_THREE;
                } else {
                    mode = Mode.TEXT;
                }
            }
            case SEQUENCE -> sequence(b);
            case SHIFT_THREE -> {
                mode = Mode.TEXT;
                if (b == 'F') {
                    cursor = line.length();
                } else if (b == 'H') {
                    cursor = 0;
                }
            }
        }
        update();
    }

    private void text(int b) {
        switch (b) {
            case 1 -> cursor = 0;
            case 2 -> cursor = Math.max(0, cursor - 1);
            case 4 -> delete();
            case 5 -> cursor = line.length();
            case 6 -> cursor = Math.min(line.length(), cursor + 1);
            case 8, 127 -> {
                if (cursor > 0) {
                    cursor--;
                    delete();
                }
            }
            case 9 -> complete();
            case 10, 13 -> entered();
            case 11 -> line.setLength(cursor);
            case 12 -> redrawAfter(CLEAR + PROMPT);
            case 14 -> recall(1);
            case 16 -> recall(-1);
            case 21 -> {
                line.delete(0, cursor);
                cursor = 0;
            }
            case 23 -> deleteWord();
            case 27 -> mode = Mode.ESCAPE;
            case 155 -> {
                mode = Mode.SEQUENCE;
                parameter = 0;
            }
            default -> {
                if (b >= 32 && line.length() < MAXIMUM) {
                    line.insert(cursor++, (char) b);
                }
            }
        }
    }

    private void sequence(int b) {
        if (b >= '0' && b <= '9') {
            parameter = Math.min(1000, parameter * 10 + b - '0');
            return;
        }
        mode = Mode.TEXT;
        switch (b) {
            case 'A' -> recall(-1);
            case 'B' -> recall(1);
            case 'C' -> cursor = Math.min(line.length(), cursor + 1);
            case 'D' -> cursor = Math.max(0, cursor - 1);
            case 'F' -> cursor = line.length();
            case 'H' -> cursor = 0;
            case '~' -> {
                switch (parameter) {
                    case 1 -> cursor = 0;
                    case 3 -> delete();
                    case 4 -> cursor = line.length();
                    default -> {}
                }
            }
            default -> {}
        }
    }

    private void delete() {
        if (cursor < line.length()) {
            line.deleteCharAt(cursor);
        }
    }

    private void deleteWord() {
        int start = cursor;
        while (start > 0 && line.charAt(start - 1) == ' ') {
            start--;
        }
        while (start > 0 && line.charAt(start - 1) != ' ') {
            start--;
        }
        line.delete(start, cursor);
        cursor = start;
    }

    private void recall(int step) {
        int wanted = historyAt + step;
        if (wanted < 0 || wanted > history.size()) {
            return;
        }
        historyAt = wanted;
        line.setLength(0);
        if (wanted < history.size()) {
            line.append(history.get(wanted));
        }
        cursor = line.length();
    }

    private void complete() {
        String before = line.substring(0, cursor);
        String insert = completer.apply(before, choices -> redrawAfter("\n" + choices));
        if (line.length() + insert.length() <= MAXIMUM) {
            line.insert(cursor, insert);
            cursor += insert.length();
        }
    }

    /** Prints a text that ends in a prompt; the whole line has to be drawn again behind it. */
    private void redrawAfter(String text) {
        terminal.accept(text);
        shown = "";
        shownCursor = 0;
    }

    private void entered() {
        String text = line.toString();
        if (!text.isEmpty()) {
            history.remove(text);
            history.add(text);
            if (history.size() > HISTORY) {
                history.removeFirst();
            }
        }
        cursor = line.length();
        update();
        terminal.accept("\n");
        restart();
        enter.accept(text);
    }

    private void update() {
        StringBuilder out = new StringBuilder();
        String now = line.toString();
        if (!now.equals(shown)) {
            out.append(LEFT.repeat(shownCursor)).append(now).append(ERASE);
            shown = now;
            shownCursor = now.length();
        }
        if (cursor > shownCursor) {
            out.append(RIGHT.repeat(cursor - shownCursor));
        } else if (cursor < shownCursor) {
            out.append(LEFT.repeat(shownCursor - cursor));
        }
        shownCursor = cursor;
        if (!out.isEmpty()) {
            terminal.accept(out.toString());
        }
    }
}
