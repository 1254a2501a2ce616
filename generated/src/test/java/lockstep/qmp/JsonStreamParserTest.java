package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;

/** Replies that a real QEMU gives to good and bad input. */
class JsonStreamParserTest {
    private static final String VALUE = "JSON parse error, expecting value";

    private static List<String> read(byte[] bytes) {
        JsonStreamParser parser = new JsonStreamParser();
        List<String> result = new ArrayList<>();
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        for (JsonStreamParser.Message m = parser.next(buffer); m != null; m = parser.next(buffer)) {
            JsonValue value = m.value();
            result.add(value == null ? String.valueOf(m.error()) : JsonPrinter.compact(value));
        }
        return result;
    }

    private static List<String> read(String text) {
        return read(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String echo(String id) {
        List<String> out = read("{'id':" + id + "}");
        assertEquals(1, out.size(), () -> out.toString());
        String text = out.getFirst();
        return text.startsWith("{") ? text.substring(7, text.length() - 1) : text;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'a\"b\\'c' | \"a\\\"b'c\"",
                "\"\\u00e9\\ud83d\\ude00\\n\\t\\/\\'\" | \"\\u00E9\\uD83D\\uDE00\\n\\t/'\"",
                "\"é\" | \"\\u00E9\"",
                "\"\\u0000\\u007f\" | \"\\u0000\\u007F\"",
                "\"\\x\" | JSON parse error, invalid escape sequence in string",
                "\"\\ud83d\" | JSON parse error, \\ud83d is not a valid Unicode character",
                "\"\\ufffe\" | JSON parse error, \\ufffe is not a valid Unicode character",
                "9223372036854775807 | 9223372036854775807",
                "-9223372036854775808 | -9223372036854775808",
                "18446744073709551615 | 18446744073709551615",
                "18446744073709551616 | 1.8446744073709552e+19",
                "-9223372036854775809 | -9.2233720368547758e+18",
                "1e3 | 1000",
                "1.10 | 1.1000000000000001",
                "-0.0 | -0",
                "1e-7 | 9.9999999999999995e-08",
                "tru | JSON parse error, invalid keyword 'tru'",
                "[1,] | JSON parse error, expecting value",
                "{'a':1,} | JSON parse error, expecting value",
                "{5:'x'} | JSON parse error, key is not a string in object",
                "{'a':1,'a':2} | JSON parse error, duplicate key",
                "{'a' 1} | JSON parse error, missing : in object pair",
                "{'a':1 'b':2} | JSON parse error, expected separator in dict",
                "[1 2] | JSON parse error, expected separator in list",
                "[ true, false, null ] | [true, false, null]",
            })
    void valuesInsideAnObject(String written, String expected) {
        assertEquals(expected, echo(written));
    }

    @ParameterizedTest
    @CsvSource({"01, 01", "+1, +", ".5, .", "NaN, N", "True, T", "-a, -a", "1.x, 1.x", "1ex, 1ex"})
    void strayTextGivesASecondErrorForTheBrace(String written, String stray) {
        assertEquals(
                List.of("JSON parse error, stray '" + stray + "'", VALUE),
                read("{'id':" + written + "}"));
    }

    @Test
    void lonePunctuation() {
        assertEquals(List.of(VALUE, VALUE, VALUE, VALUE), read("} ] , :"));
        assertEquals(List.of("JSON parse error, expected separator in dict"), read("{'a':1]"));
    }

    @Test
    void keysWithoutQuotesAreKeywords() {
        assertEquals(List.of("JSON parse error, invalid keyword 'execute'"), read("{execute:'x'}"));
        assertEquals(3, read("garbage text here\n").size());
        assertEquals(List.of("JSON parse error, stray 'H'"), read("HELLO\n"));
    }

    @Test
    void commentsAreOneErrorEach() {
        for (String comment : List.of("// comment", "# c", "/* c */")) {
            String first = comment.substring(0, 1);
            assertEquals(
                    List.of("JSON parse error, stray '" + first + "'", "{\"a\": 1}"),
                    read(comment + "\n{'a':1}"));
            assertEquals(
                    List.of("JSON parse error, stray '" + first + "'", "{\"a\": 1}"),
                    read(comment + " {'a':1}"));
        }
    }

    @Test
    void newlineInAString() {
        assertEquals(
                List.of("JSON parse error, stray '\"abc\n'", "{\"a\": 1}"),
                read("\"abc\ndef\n{'a':1}"));
    }

    @Test
    void brokenUtf8() {
        assertEquals(
                List.of("JSON parse error, invalid UTF-8 sequence in string"),
                read(new byte[] {'"', (byte) 0xC3, 0x28, '"'}));
        assertEquals(
                List.of("JSON parse error, stray '\"\uFFFD'", VALUE),
                read(new byte[] {'{', '"', 'a', '"', ':', '"', (byte) 0xFF, '"', '}'}));
    }

    @Test
    void byteFfForcesACleanState() {
        byte[] text = "{'a':[[X{'b':2}".getBytes(StandardCharsets.UTF_8);
        text[7] = (byte) 0xFF;
        List<String> out = read(text);
        assertEquals("{\"b\": 2}", out.getLast());
        assertEquals(2, out.size());
    }

    @Test
    void nestingLimit() {
        assertEquals(1, read("[".repeat(1024) + "]".repeat(1024)).size());
        List<String> out = read("[".repeat(1025) + "]".repeat(1025));
        assertEquals("JSON nesting depth limit exceeded", out.getFirst());
        assertEquals(1026, out.size());
        assertEquals(VALUE, out.getLast());
    }

    @Test
    void tokenCountLimit() {
        List<String> out = read("[" + "1,".repeat(1 << 20) + "1]");
        assertEquals("JSON token count limit exceeded", out.getFirst());
    }

    private static byte[] string(int length) {
        byte[] text = new byte[length];
        Arrays.fill(text, (byte) 'x');
        text[0] = '"';
        text[length - 1] = '"';
        return text;
    }

    @Test
    void tokenSizeLimit() {
        int limit = 64 << 20;
        assertEquals(limit - 1, read(string(limit - 1)).getFirst().length());
        String error = "JSON token size limit exceeded";
        assertEquals(List.of(error), read(string(limit)));
        // A text that never ends is cut off at the limit, and reading goes on behind that.
        byte[] endless = Arrays.copyOf(string(limit + 1), limit + 3);
        endless[limit] = 'x';
        endless[limit + 1] = '{';
        endless[limit + 2] = '}';
        assertEquals(List.of(error, "{}"), read(endless));
    }

    @Test
    void tokensOfOneTextTogether() {
        String half = "\"" + "x".repeat((32 << 20) - 2) + "\"";
        assertEquals(
                List.of("JSON token size limit exceeded", VALUE),
                read("[" + half + "," + half + "]"));
    }

    @Test
    void noExponentBehindALoneZero() {
        assertEquals(
                List.of("JSON parse error, invalid keyword 'e'"), read("[0.5e1] e ").subList(1, 2));
        assertEquals(
                List.of("JSON parse error, expected separator in list"),
                read("[0e5]").subList(0, 1));
    }

    /** Whatever the bytes are and however they are cut: the same messages, and no exception. */
    @Test
    void anyBytesInAnyPieces() {
        Random random = new Random(7);
        String alphabet = "{}[]:,\"'\\0123456789.eE+-truefalsn u\t\n/%xX\u00e9\u00ff\u0000";
        for (int round = 0; round < 3000; round++) {
            byte[] text = new byte[random.nextInt(60)];
            for (int i = 0; i < text.length; i++) {
                text[i] =
                        (byte)
                                (random.nextInt(8) == 0
                                        ? random.nextInt(256)
                                        : alphabet.charAt(random.nextInt(alphabet.length())));
            }
            List<String> whole = read(text);
            JsonStreamParser parser = new JsonStreamParser();
            List<String> pieces = new ArrayList<>();
            for (int at = 0; at < text.length; ) {
                int length = Math.min(1 + random.nextInt(4), text.length - at);
                ByteBuffer piece = ByteBuffer.wrap(text, at, length);
                for (var m = parser.next(piece); m != null; m = parser.next(piece)) {
                    JsonValue value = m.value();
                    pieces.add(
                            value == null ? String.valueOf(m.error()) : JsonPrinter.compact(value));
                }
                at += length;
            }
            assertEquals(whole, pieces, () -> HexFormat.of().formatHex(text));
            // What it accepts it accepts again, and to the same value, when printed.
            for (String message : whole) {
                if (message.startsWith("{") || message.startsWith("[")) {
                    assertEquals(List.of(message), read(message));
                }
            }
        }
    }

    @Test
    void textsOverPacketsAndSeveralInOne() {
        JsonStreamParser parser = new JsonStreamParser();
        byte[] text = "{'a':\n1}{'b':2} 3 ".getBytes(StandardCharsets.UTF_8);
        List<String> out = new ArrayList<>();
        for (byte b : text) {
            JsonStreamParser.Message m = parser.next(ByteBuffer.wrap(new byte[] {b}));
            if (m != null) {
                out.add(String.valueOf(m.value()));
            }
        }
        assertEquals(List.of("{\"a\": 1}", "{\"b\": 2}", "3"), out);
    }

    @Test
    void bytesAfterATextStayInTheBuffer() {
        JsonStreamParser parser = new JsonStreamParser();
        ByteBuffer bytes = ByteBuffer.wrap("{}{}".getBytes(StandardCharsets.UTF_8));
        parser.next(bytes);
        assertEquals(2, bytes.remaining());
        parser.reset();
        assertNull(new JsonStreamParser().end());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'a':1 | JSON parse error, premature EOI",
                "{} {} | JSON parse error, multiple values",
                "`  ` | JSON parse error, expecting value",
                "'abc | JSON parse error, stray ''abc'",
            })
    void commandLineTextIsOneValue(String text, String error) {
        QmpException e = assertThrows(QmpException.class, () -> JsonStreamParser.parse(text));
        assertEquals(error, e.description());
    }

    @Test
    void commandLineTextMayEndWithANumber() throws QmpException {
        assertEquals(JsonNumber.of(17), JsonStreamParser.parse("17"));
    }
}
