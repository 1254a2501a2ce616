package lockstep.block.monitor;

import lockstep.block.BlockBackend;
import lockstep.block.Completion;
import lockstep.qmp.NumberText;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** One request of {@link DiskCommands}: its words, and what is told of its end. */
final class DiskRequest {
    /** What a user typed makes no sense; the message is for standard output. */
    static final class BadWords extends Exception {
        private static final long serialVersionUID = 1L;

        BadWords(String message) {
            super(message, null, false, false);
        }
    }

    /** What a command's options are; one with a colon behind it takes a value. */
    private static final Map<String, String> OPTIONS =
            Map.of(
                    "read", "CpqvP:s:l:",
                    "readv", "CqvP:",
                    "aio_read", "CqvP:",
                    "write", "CfpquzP:",
                    "writev", "CfqP:",
                    "aio_write", "CfquzP:",
                    "discard", "Cq",
                    "flush", "");

    /** The longest request, a block layer's limit of QEMU's. */
    private static final long LONGEST = Integer.MAX_VALUE / 512 * 512L;

    /** The most that one moves by memory, which is this process's. */
    private static final long MOST_DATA = 128L << 20;

    /** What is written where nobody says with what. */
    private static final byte PLAIN = (byte) 0xcd;

    private static final long FORGOTTEN = TimeUnit.MINUTES.toNanos(1);

    private final String command;
    private final List<Character> flags = new ArrayList<>();
    private @Nullable String patternText;
    private int pattern = -1;
    private long patternStart;
    private long patternLength = -1;
    private long offset;
    private long length;
    private MemorySegment data = MemorySegment.NULL;
    private Runnable ended = () -> {};
    private int errno;
    private boolean over;
    private long began;
    private long end;

    private DiskRequest(String command) {
        this.command = command;
    }

    /** Reads a command. */
    static DiskRequest parse(String[] words) throws BadWords {
        DiskRequest request = new DiskRequest(words[0]);
        String known = OPTIONS.getOrDefault(words[0], "");
        List<String> plain = new ArrayList<>();
        for (int i = 1; i < words.length; i++) {
            String word = words[i];
            if (word.length() < 2 || word.charAt(0) != '-' || !plain.isEmpty()) {
                plain.add(word);
                continue;
            }
            for (int at = 1; at < word.length(); at++) {
                char letter = word.charAt(at);
                int found = letter == ':' ? -1 : known.indexOf(letter);
                if (found < 0) {
                    throw new BadWords(words[0] + ": invalid option -- '" + letter + "'");
                }
                if (found + 1 == known.length() || known.charAt(found + 1) != ':') {
                    request.flags.add(letter);
                    continue;
                }
                String value = word.substring(at + 1);
                if (value.isEmpty() && ++i == words.length) {
                    throw new BadWords(
                            words[0] + ": option requires an argument -- '" + letter + "'");
                }
                request.option(letter, value.isEmpty() ? words[i] : value);
                break;
            }
        }
        request.place(plain);
        request.check();
        return request;
    }

    private void option(char letter, String value) throws BadWords {
        switch (letter) {
            case 'P' -> {
                patternText = value;
                NumberText number = NumberText.signed(value);
                if (number.outcome() != NumberText.Outcome.NUMBER
                        || number.value() < 0
                        || number.value() > 0xff) {
                    throw new BadWords(value + " is not a valid pattern byte");
                }
                pattern = (int) number.value();
            }
            case 's' -> patternStart = number(value);
            default -> patternLength = number(value);
        }
    }

    private void place(List<String> plain) throws BadWords {
        if (command.equals("flush")) {
            return;
        }
        boolean vector = command.endsWith("v") || command.startsWith("aio");
        if (plain.size() < 2 || plain.size() > 2 && !vector) {
            throw wrongCount(command, plain.size(), 2, Integer.MAX_VALUE);
        }
        offset = number(plain.getFirst());
        for (String part : plain.subList(1, plain.size())) {
            long bytes = number(part);
            if (bytes > LONGEST || length + bytes > LONGEST) {
                throw new BadWords("length cannot exceed " + LONGEST + ", given " + part);
            }
            length += bytes;
        }
    }

    private void check() throws BadWords {
        boolean zeroes = flags.contains('z');
        if (flags.contains('u') && !zeroes) {
            throw new BadWords("-u requires -z to be specified");
        }
        if (zeroes && patternText != null) {
            throw new BadWords("-z and -P cannot be specified at the same time");
        }
        if (length > MOST_DATA && !zeroes && !command.equals("discard")) {
            throw new BadWords("data cannot exceed " + MOST_DATA + " bytes, given " + length);
        }
        if (patternLength < 0) {
            patternLength = length - patternStart;
        }
        if (patternLength < 0 || patternStart + patternLength > length) {
            throw new BadWords("pattern verification range exceeds end of read data");
        }
    }

    private static BadWords wrongCount(String command, int count, int least, int most) {
        String expected =
                least == most
                        ? "exactly " + least
                        : most == Integer.MAX_VALUE
                                ? "at least " + least
                                : "between " + least + " and " + most;
        return new BadWords(
                "bad argument count %d to %s, expected %s arguments"
                        .formatted(count, command, expected));
    }

    /** Refuses a command that has not as many arguments as it takes. */
    static void arguments(String[] words, int least, int most) throws BadWords {
        if (words.length - 1 < least || words.length - 1 > most) {
            throw wrongCount(words[0], words.length - 1, least, most);
        }
    }

    /** A number of bytes, with a suffix or not. */
    static long number(String text) throws BadWords {
        NumberText number = NumberText.size(text);
        boolean known = number.outcome() == NumberText.Outcome.NUMBER;
        if (known && number.value() >= 0) {
            return number.value();
        }
        if (known || number.outcome() == NumberText.Outcome.OUT_OF_RANGE) {
            throw new BadWords("Parsing error: argument too large -- " + text);
        }
        throw new BadWords(
                "Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- "
                        + text);
    }

    boolean writes() {
        return command.contains("write") || command.equals("discard");
    }

    /** Whether the command is over before the request is. */
    boolean inBackground() {
        return command.startsWith("aio");
    }

    private boolean reads() {
        return command.contains("read");
    }

    /** Hands it to a backend; {@code told} runs on the main loop when it is over. */
    void begin(BlockBackend backend, Runnable told) {
        ended = told;
        began = System.nanoTime();
        if (command.equals("flush")) {
            backend.flush(this::complete);
        } else if (command.equals("discard")) {
            backend.discard(offset, length, this::complete);
        } else if (flags.contains('z')) {
            backend.writeZeroes(offset, length, flags.contains('u'), durably(backend));
        } else {
            data = Arena.ofAuto().allocate(length, 4096);
            if (reads()) {
                backend.read(offset, data, this::complete);
            } else {
                data.fill(pattern < 0 ? PLAIN : (byte) pattern);
                backend.write(offset, data, durably(backend));
            }
        }
    }

    private Completion durably(BlockBackend backend) {
        return flags.contains('f')
                ? result -> {
                    if (result == 0) {
                        backend.flush(this::complete);
                    } else {
                        complete(result);
                    }
                }
                : this::complete;
    }

    private void complete(int result) {
        errno = result;
        end = System.nanoTime();
        over = true;
        ended.run();
        data = MemorySegment.NULL;
    }

    boolean over() {
        return over;
    }

    /** Whether it is over for so long that nobody comes to ask any more. */
    boolean longOver() {
        return over && System.nanoTime() - end > FORGOTTEN;
    }

    /** What is told of its end, while its data is there. */
    String result() {
        StringBuilder text = new StringBuilder();
        if (errno != 0) {
            return command.equals("flush") ? "" : command + " failed: " + Errno.text(errno) + "\n";
        }
        if (command.equals("flush")) {
            return "";
        }
        if (reads() && pattern >= 0) {
            for (long i = patternStart; i < patternStart + patternLength; i++) {
                if (data.get(ValueLayout.JAVA_BYTE, i) != (byte) pattern) {
                    text.append("Pattern verification failed at offset ")
                            .append(offset + patternStart)
                            .append(", ")
                            .append(patternLength)
                            .append(" bytes\n");
                    break;
                }
            }
        }
        if (flags.contains('q')) {
            return text.toString();
        }
        if (reads() && flags.contains('v')) {
            dump(text);
        }
        report(text);
        return text.toString();
    }

    private void dump(StringBuilder text) {
        for (long row = 0; row < length; row += 16) {
            text.append(String.format(Locale.ROOT, "%08x: ", offset + row));
            StringBuilder letters = new StringBuilder();
            for (long i = row; i < Math.min(row + 16, length); i++) {
                int value = data.get(ValueLayout.JAVA_BYTE, i) & 0xff;
                text.append(String.format(Locale.ROOT, " %02x", value));
                letters.append(
                        value < 128 && Character.isLetterOrDigit(value) ? (char) value : '.');
            }
            text.append("  ").append(letters).append('\n');
        }
    }

    private void report(StringBuilder text) {
        double seconds = Math.max(end - began, 1) / 1e9;
        long hundredths = (end - began) / 10_000_000;
        if (flags.contains('C')) {
            text.append(
                    String.format(
                            Locale.ROOT,
                            "%d,1,%02d.%02d sec\n",
                            length,
                            hundredths / 100,
                            hundredths % 100));
            return;
        }
        String done = reads() ? "read" : command.equals("discard") ? "discard" : "wrote";
        text.append("%s %d/%d bytes at offset %d\n".formatted(done, length, length, offset));
        String time =
                hundredths < 6000
                        ? String.format(
                                Locale.ROOT, "%02d.%02d sec", hundredths / 100, hundredths % 100)
                        : String.format(
                                Locale.ROOT,
                                "%02d:%02d:%02d.%02d",
                                hundredths / 360_000,
                                hundredths / 6000 % 60,
                                hundredths / 100 % 60,
                                hundredths % 100);
        text.append(
                String.format(
                        Locale.ROOT,
                        "%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n",
                        size(length),
                        time,
                        size(length / seconds),
                        1 / seconds));
    }

    /** A number of bytes as that program shows it. */
    static String size(double bytes) {
        String[] units = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit + 1 < units.length) {
            value /= 1024;
            unit++;
        }
        String text = String.format(Locale.ROOT, "%.3f", value);
        return (text.endsWith(".000") ? text.substring(0, text.length() - 4) : text)
                + " "
                + units[unit];
    }
}
