package lockstep.shell;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.qmp.QmpGreeting;
import lockstep.qmp.QmpState;
import lockstep.qmp.Subscription;

import org.jline.keymap.KeyMap;
import org.jline.reader.Binding;
import org.jline.reader.EOFError;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.ParsedLine;
import org.jline.reader.Parser;
import org.jline.reader.Reference;
import org.jline.reader.UserInterruptException;
import org.jline.reader.impl.DefaultParser;
import org.jline.terminal.Size;
import org.jline.terminal.TerminalBuilder;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A user in front of a terminal: line editing, history, completion, events above the prompt. */
final class Terminal {
    private static final String BUILT_IN =
            """
            COMMAND KEY=VALUE...            runs a command; TAB completes names and values
            {"execute": ...}                runs a command given as JSON, over several lines if need be
            exec-oob COMMAND KEY=VALUE...   runs it out of band
            hmp COMMAND                     runs a command of the human monitor
            help [COMMAND]                  lists the commands, or the arguments of one
            exit                            ends the shell; so does the end of input (Ctrl-D)
            """;

    private final Session session;

    Terminal(Session session) {
        this.session = session;
    }

    int run() throws IOException {
        // Before the prompt, so that the first TAB need not wait for it.
        session.schema().thenAccept(schema -> {});
        try (org.jline.terminal.Terminal terminal =
                TerminalBuilder.builder().nativeSignals(true).build()) {
            if (terminal.getWidth() <= 0 || terminal.getHeight() <= 0) {
                terminal.setSize(new Size(80, 24)); // such as a serial console, which does not know
            }
            LineReader reader =
                    LineReaderBuilder.builder()
                            .terminal(terminal)
                            .appName("lockstep-qmp")
                            .parser(new LineParser(session.options().hmp()))
                            .completer(new SchemaCompleter(session))
                            .variable(LineReader.HISTORY_FILE, history())
                            .variable(LineReader.SECONDARY_PROMPT_PATTERN, "...> ")
                            .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
                            .build();
            bindCursorKeys(reader);
            QmpGreeting greeting = session.client().greeting();
            if (greeting != null) {
                reader.printAbove(
                        "Connected to "
                                + session.options().address()
                                + ", version "
                                + greeting.version()
                                + ". Type help for help.");
            }
            Subscription events = session.events(reader::printAbove);
            Subscription states =
                    session.client()
                            .onState(
                                    change -> {
                                        if (change.state() == QmpState.CLOSED) {
                                            reader.printAbove("The connection is closed.");
                                        }
                                    });
            try {
                return converse(reader);
            } finally {
                // Before the terminal is closed, on which they write.
                events.close();
                states.close();
            }
        }
    }

    /** Cursor keys have two codes; a terminal may send the one that its description does not name. */
    private static void bindCursorKeys(LineReader reader) {
        KeyMap<Binding> keys = reader.getKeyMaps().get(LineReader.MAIN);
        if (keys != null) {
            for (String lead : List.of("\033[", "\033O")) {
                keys.bind(new Reference(LineReader.UP_LINE_OR_SEARCH), lead + "A");
                keys.bind(new Reference(LineReader.DOWN_LINE_OR_SEARCH), lead + "B");
                keys.bind(new Reference(LineReader.FORWARD_CHAR), lead + "C");
                keys.bind(new Reference(LineReader.BACKWARD_CHAR), lead + "D");
            }
        }
    }

    /** Where the history is kept between runs. */
    private static Path history() throws IOException {
        String state = System.getenv("XDG_STATE_HOME");
        String home = System.getenv("HOME");
        Path directory =
                state == null || state.isEmpty()
                        ? Path.of(
                                home == null || home.isEmpty()
                                        ? System.getProperty("user.home")
                                        : home,
                                ".local",
                                "state")
                        : Path.of(state);
        return Files.createDirectories(directory.resolve("lockstep")).resolve("qmp-history");
    }

    private int converse(LineReader reader) throws IOException {
        String prompt = session.options().hmp() ? "(hmp) " : "(qmp) ";
        int status = 0;
        while (true) {
            String line;
            try {
                line = reader.readLine(prompt).strip();
            } catch (UserInterruptException e) {
                continue;
            } catch (EndOfFileException e) {
                return status;
            }
            if (line.equals("exit")) {
                return status;
            }
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            try {
                status = run(line, reader);
            } catch (UsageException e) {
                print(reader, Main.message(e));
            } catch (IOException e) {
                print(reader, Main.message(e));
                if (session.client().state() == QmpState.CLOSED) {
                    return 2;
                }
            }
        }
    }

    private int run(String line, LineReader reader) throws IOException, UsageException {
        if (!session.options().hmp() && Session.isJson(line)) {
            return answer(json(line), reader);
        }
        if (session.options().hmp()) {
            return answer(session.request(List.of(line)), reader);
        }
        List<String> words = Words.of(line);
        if (words.getFirst().equals("help")) {
            help(words, reader);
            return 0;
        }
        return answer(session.request(words), reader);
    }

    private int answer(JsonObject request, LineReader reader) throws IOException {
        return session.send(request, answer -> show(answer, reader)).has("error") ? 1 : 0;
    }

    private void help(List<String> words, LineReader reader) {
        Schema schema = session.schema().join();
        if (words.size() > 1) {
            print(reader, schema.describe(words.get(1)).stripTrailing());
        } else {
            print(reader, BUILT_IN + "\n" + String.join("  ", schema.commands()));
        }
    }

    private static JsonObject json(String text) throws UsageException {
        try {
            JsonValue value = JsonStreamParser.parse(text);
            if (value instanceof JsonObject object) {
                return object;
            }
            throw new UsageException("a request is a JSON object");
        } catch (QmpException e) {
            throw new UsageException(e.description(), e);
        }
    }

    private static void show(JsonObject answer, LineReader reader) {
        String error = Session.error(answer);
        if (error != null) {
            print(reader, "Error: " + error);
            return;
        }
        String human = Session.human(answer);
        if (human != null) {
            print(reader, human.replace("\r\n", "\n").stripTrailing());
        } else if (answer.get("return") instanceof JsonValue value) {
            print(reader, value.equals(new JsonObject()) ? "{}" : JsonPrinter.pretty(value));
        }
    }

    private static void print(LineReader reader, String text) {
        if (!text.isEmpty()) {
            reader.getTerminal().writer().println(text);
            reader.getTerminal().flush();
        }
    }

    /** A line is whole when its brackets and quotes are closed; words end at white space. */
    private static final class LineParser implements Parser {
        private final DefaultParser words = new DefaultParser();
        private final boolean human;

        LineParser(boolean human) {
            this.human = human;
            words.setQuoteChars(new char[0]);
            words.setEscapeChars(new char[0]);
        }

        @Override
        public @Nullable ParsedLine parse(String line, int cursor, ParseContext context) {
            if (context == ParseContext.ACCEPT_LINE && !human && Session.isJson(line.strip())) {
                try {
                    Words.of(line);
                } catch (UsageException e) {
                    throw new EOFError(-1, -1, Main.message(e));
                }
            }
            return words.parse(line, cursor, context);
        }
    }
}
