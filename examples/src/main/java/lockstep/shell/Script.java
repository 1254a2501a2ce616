package lockstep.shell;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;

import org.jspecify.annotations.Nullable;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Runs commands one after the other and writes their answers. */
final class Script {
    private final Session session;
    private final Output out;
    private boolean failed;

    Script(Session session, Output out) {
        this.session = session;
        this.out = out;
    }

    /** Runs one command. */
    int run(List<String> words) throws IOException, UsageException {
        showEvents();
        String text = String.join(" ", words);
        if (!session.options().hmp() && Session.isJson(text)) {
            run(text);
        } else {
            answer(session.request(words));
        }
        return status();
    }

    /** Runs all commands of an input. */
    int run(BufferedReader input) throws IOException, UsageException {
        showEvents();
        int number = 0;
        String line;
        while (!stopped() && (line = input.readLine()) != null) {
            number++;
            String text = line.strip();
            if (text.isEmpty() || text.startsWith("#")) {
                continue;
            }
            try {
                if (session.options().hmp()) {
                    answer(session.request(List.of(line)));
                } else if (Session.isJson(text)) {
                    number += json(line, input);
                } else {
                    answer(session.request(Words.of(line)));
                }
            } catch (UsageException e) {
                throw new UsageException("line " + number + ": " + e.getMessage(), e);
            }
        }
        return status();
    }

    private void showEvents() {
        if (session.options().events()) {
            session.events(this::print);
        }
    }

    private boolean stopped() {
        return failed && !session.options().keepGoing();
    }

    private int status() {
        return failed ? 1 : 0;
    }

    private void run(String text) throws IOException, UsageException {
        json(text, null);
    }

    /** Runs the JSON that begins with a line, and gives how many more lines it took. */
    private int json(String first, @Nullable BufferedReader more)
            throws IOException, UsageException {
        JsonStreamParser parser = new JsonStreamParser();
        int lines = 0;
        String line = first;
        while (line != null) {
            ByteBuffer bytes = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
            boolean complete = false;
            for (JsonStreamParser.Message message = parser.next(bytes);
                    message != null;
                    message = parser.next(bytes)) {
                complete = true;
                if (stopped()) {
                    return lines;
                }
                run(message);
            }
            if (complete && parser.isIdle()) {
                return lines;
            }
            line = more == null ? null : more.readLine();
            lines++;
        }
        throw new UsageException("the JSON text ends early");
    }

    private void run(JsonStreamParser.Message message) throws IOException, UsageException {
        JsonValue value = message.value();
        if (value == null) {
            throw new UsageException(String.valueOf(message.error()));
        }
        if (!(value instanceof JsonObject request)) {
            throw new UsageException("a request is a JSON object, not " + value);
        }
        // Scripts for bare sockets begin with it; it was done on connecting.
        if (!new JsonString("qmp_capabilities").equals(request.get("execute"))) {
            answer(request);
        }
    }

    private void answer(JsonObject request) throws IOException {
        JsonObject answer = session.send(request, this::show);
        failed |= answer.has("error");
        out.check();
    }

    private void show(JsonObject answer) {
        String human = session.options().hmp() ? Session.human(answer) : null;
        if (human == null) {
            print(session.text(answer));
        } else {
            out.print(human.replace("\r\n", "\n"));
        }
    }

    private void print(String line) {
        out.print(line + "\n");
    }
}
