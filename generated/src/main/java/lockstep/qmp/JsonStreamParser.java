package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;

/**
 * Reads JSON texts from a stream of bytes, as tolerant and as strict as QEMU: strings in single or
 * double quotes, texts over any number of packets, several in one, and an error message per mistake
 * after which reading goes on. Limits per text: 64 MiB and 2097152 tokens, 1024 open brackets.
 *
 * <p>A hand-written automaton, not Jackson: where a broken text ends, how many errors it gives and
 * their wording are part of the protocol. Not for use by several threads.
 */
public final class JsonStreamParser {
    /**
     * What was found: a value or an error, never both.
     *
     * @param value the value, or null
     * @param error the description of the error, or null
     */
    public record Message(@Nullable JsonValue value, @Nullable String error) {}

    private static final int MAX_TOKEN_SIZE = 64 << 20;
    private static final int MAX_TOKEN_COUNT = 2 << 20;
    private static final int MAX_NESTING = 1 << 10;

    private enum State {
        START,
        RECOVERY,
        DOUBLE_QUOTED,
        DOUBLE_ESCAPE,
        SINGLE_QUOTED,
        SINGLE_ESCAPE,
        ZERO,
        DIGITS,
        SIGN,
        POINT,
        FRACTION,
        EXPONENT,
        EXPONENT_SIGN,
        EXPONENT_DIGITS,
        KEYWORD
    }

    /** What a byte does to the automaton besides moving it. */
    private enum Step {
        /** The byte belongs to the token or is white space. */
        TAKEN,
        /** The byte completes a token. */
        COMPLETE,
        /** The token was complete before the byte, which is looked at again. */
        COMPLETE_BEFORE,
        /** The byte is looked at again in the start state. */
        AGAIN,
        /** The byte cannot follow. */
        WRONG
    }

    private State state = State.START;
    private byte[] token = new byte[256];
    private int tokenLength;
    private char tokenType;

    private final List<JsonTokens.Token> tokens = new ArrayList<>();
    private long tokenSize;
    private int braces;
    private int brackets;
    private final Deque<Message> ready = new ArrayDeque<>();

    /** Starts in the clean state. */
    public JsonStreamParser() {}

    /** Forgets what was read of an unfinished text, as at the end of a connection. */
    public void reset() {
        state = State.START;
        tokenLength = 0;
        drop();
        ready.clear();
    }

    /** Whether all that was taken has been given, so that the next byte begins a text. */
    public boolean isIdle() {
        return state == State.START && tokens.isEmpty() && ready.isEmpty();
    }

    /**
     * Takes bytes until a text or an error is complete and gives it; bytes after it stay in the
     * buffer. Gives null when all bytes were taken and nothing is complete. Call again until it does.
     */
    public @Nullable Message next(ByteBuffer bytes) {
        while (ready.isEmpty() && bytes.hasRemaining()) {
            feed(bytes.get() & 0xFF);
        }
        return ready.poll();
    }

    /** Whether {@link #next} would give something without any further byte. */
    public boolean hasReady() {
        return !ready.isEmpty();
    }

    /** Ends the input: gives what the last bytes hold, or null when there is nothing unfinished. */
    public @Nullable Message end() {
        if (ready.isEmpty()) {
            // White space completes a number or keyword at the end of the text.
            if (state != State.START) {
                boolean open =
                        switch (state) {
                            case ZERO, DIGITS, FRACTION, EXPONENT_DIGITS, KEYWORD, RECOVERY ->
                                    false;
                            default -> true;
                        };
                if (open) {
                    stray();
                    state = State.START;
                } else {
                    feed(' ');
                    state = State.START;
                }
            }
            if (ready.isEmpty() && !tokens.isEmpty()) {
                complete();
            }
        }
        return ready.poll();
    }

    /**
     * Parses one text, as JSON arguments on a command line are read.
     *
     * @throws QmpException with QEMU's text
     */
    public static JsonValue parse(String text) throws QmpException {
        JsonStreamParser parser = new JsonStreamParser();
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
        JsonValue result = null;
        while (true) {
            Message message = parser.next(bytes);
            if (message == null) {
                message = parser.end();
            }
            if (message == null) {
                break;
            }
            if (message.error() != null) {
                throw new QmpException(message.error());
            }
            if (result != null) {
                throw new QmpException("JSON parse error, multiple values");
            }
            result = message.value();
        }
        if (result == null) {
            throw new QmpException("JSON parse error, expecting value");
        }
        return result;
    }

    private void feed(int c) {
        while (true) {
            State before = state;
            Step step = step(c);
            if (step == Step.COMPLETE || step == Step.WRONG || step == Step.TAKEN) {
                if (state != State.START || step != Step.TAKEN) {
                    append(c);
                }
            }
            switch (step) {
                case TAKEN -> {
                    if (state == State.RECOVERY || state == State.START) {
                        tokenLength = 0;
                    } else if (tokenLength > MAX_TOKEN_SIZE) {
                        fail("JSON token size limit exceeded");
                        tokenLength = 0;
                        state = State.START;
                    }
                    return;
                }
                case COMPLETE -> {
                    token();
                    return;
                }
                case COMPLETE_BEFORE -> {
                    tokenType = before == State.KEYWORD ? 'k' : 'n';
                    token();
                }
                case AGAIN -> {
                    tokenLength = 0;
                    state = State.START;
                }
                case WRONG -> {
                    stray();
                    return;
                }
            }
        }
    }

    private void append(int c) {
        if (tokenLength == token.length) {
            token = Arrays.copyOf(token, Math.min(token.length * 2, MAX_TOKEN_SIZE + 2));
        }
        token[tokenLength++] = (byte) c;
    }

    private Step to(State next) {
        state = next;
        return Step.TAKEN;
    }

    private static boolean digit(int c) {
        return c >= '0' && c <= '9';
    }

    private Step step(int c) {
        return switch (state) {
            case START -> start(c);
            case RECOVERY ->
                    (c < 0x20 && c != '\t') || c >= 0xFE || "{}[]:,".indexOf(c) >= 0
                            ? Step.AGAIN
                            : Step.TAKEN;
            case DOUBLE_QUOTED -> quoted(c, '"', State.DOUBLE_ESCAPE);
            case SINGLE_QUOTED -> quoted(c, '\'', State.SINGLE_ESCAPE);
            case DOUBLE_ESCAPE -> c >= 0x20 && c <= 0xFD ? to(State.DOUBLE_QUOTED) : Step.WRONG;
            case SINGLE_ESCAPE -> c >= 0x20 && c <= 0xFD ? to(State.SINGLE_QUOTED) : Step.WRONG;
            case SIGN -> digit(c) ? to(c == '0' ? State.ZERO : State.DIGITS) : Step.WRONG;
            // No exponent behind a lone zero: QEMU's lexer ends the number there.
            case ZERO -> digit(c) ? Step.WRONG : c == '.' ? to(State.POINT) : Step.COMPLETE_BEFORE;
            case DIGITS -> digit(c) ? Step.TAKEN : integer(c);
            case POINT -> digit(c) ? to(State.FRACTION) : Step.WRONG;
            case FRACTION -> {
                if (digit(c)) {
                    yield Step.TAKEN;
                }
                yield c == 'e' || c == 'E' ? to(State.EXPONENT) : Step.COMPLETE_BEFORE;
            }
            case EXPONENT -> {
                if (digit(c)) {
                    yield to(State.EXPONENT_DIGITS);
                }
                yield c == '+' || c == '-' ? to(State.EXPONENT_SIGN) : Step.WRONG;
            }
            case EXPONENT_SIGN -> digit(c) ? to(State.EXPONENT_DIGITS) : Step.WRONG;
            case EXPONENT_DIGITS -> digit(c) ? Step.TAKEN : Step.COMPLETE_BEFORE;
            case KEYWORD -> c >= 'a' && c <= 'z' ? Step.TAKEN : Step.COMPLETE_BEFORE;
        };
    }

    private Step start(int c) {
        return switch (c) {
            case ' ', '\t', '\r', '\n' -> Step.TAKEN;
            case '{', '}', '[', ']', ':', ',' -> {
                tokenType = (char) c;
                yield Step.COMPLETE;
            }
            case '"' -> to(State.DOUBLE_QUOTED);
            case '\'' -> to(State.SINGLE_QUOTED);
            case '-' -> to(State.SIGN);
            case '0' -> to(State.ZERO);
            default -> {
                if (digit(c)) {
                    yield to(State.DIGITS);
                }
                yield c >= 'a' && c <= 'z' ? to(State.KEYWORD) : Step.WRONG;
            }
        };
    }

    private Step quoted(int c, char quote, State escape) {
        if (c == quote) {
            tokenType = 's';
            return Step.COMPLETE;
        }
        if (c == '\\') {
            return to(escape);
        }
        return c >= 0x20 && c <= 0xFD ? Step.TAKEN : Step.WRONG;
    }

    private Step integer(int c) {
        return switch (c) {
            case '.' -> to(State.POINT);
            case 'e', 'E' -> to(State.EXPONENT);
            default -> Step.COMPLETE_BEFORE;
        };
    }

    private void stray() {
        int length = tokenLength;
        for (int i = 0; i < length; i++) {
            if (token[i] == 0) {
                length = i;
            }
        }
        String text = ModifiedUtf8.decode(token, length);
        tokenLength = 0;
        state = State.RECOVERY;
        fail("JSON parse error, stray '" + text + "'");
    }

    private void fail(String error) {
        drop();
        ready.add(new Message(null, error));
    }

    private void drop() {
        braces = 0;
        brackets = 0;
        tokens.clear();
        tokenSize = 0;
    }

    private void token() {
        int length = tokenLength;
        tokenLength = 0;
        state = State.START;
        switch (tokenType) {
            case '{' -> braces++;
            case '}' -> braces--;
            case '[' -> brackets++;
            case ']' -> brackets--;
            default -> {}
        }
        if (tokenSize + length + 1 > MAX_TOKEN_SIZE) {
            fail("JSON token size limit exceeded");
            return;
        }
        if (tokens.size() + 1 > MAX_TOKEN_COUNT) {
            fail("JSON token count limit exceeded");
            return;
        }
        if (braces + brackets > MAX_NESTING) {
            fail("JSON nesting depth limit exceeded");
            return;
        }
        tokenSize += length;
        tokens.add(JsonTokens.token(tokenType, token, length));
        if (token.length > 65536) {
            token = new byte[256];
        }
        if ((braces > 0 || brackets > 0) && braces >= 0 && brackets >= 0) {
            return;
        }
        complete();
    }

    private void complete() {
        Message message;
        try {
            message = new Message(new JsonTokens(tokens).parse(), null);
        } catch (QmpException e) {
            message = new Message(null, e.description());
        }
        drop();
        ready.add(message);
    }
}
