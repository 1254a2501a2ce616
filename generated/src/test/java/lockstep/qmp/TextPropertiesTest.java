package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.ByteRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;

/** What holds for every text: numbers and JSON come back as they were written, and noise is told. */
class TextPropertiesTest {
    @Property
    void aNumberComesBackInEachBase(@ForAll long value) {
        assertEquals(OptionalLong.of(value), NumberText.signed(Long.toString(value)).toOptional());
        assertEquals(
                OptionalLong.of(value),
                NumberText.unsigned("0x" + Long.toHexString(value)).toOptional());
        assertEquals(
                OptionalLong.of(value),
                NumberText.unsigned(" +0" + Long.toOctalString(value)).toOptional());
        assertEquals(
                OptionalLong.of(value),
                NumberText.wrapping(Long.toUnsignedString(value)).toOptional());
    }

    @Property
    void aSizeIsItsNumberTimesItsUnit(@ForAll long number, @ForAll @IntRange(max = 6) int unit) {
        BigInteger count = new BigInteger(Long.toUnsignedString(number));
        BigInteger bytes = count.shiftLeft(10 * unit);
        String text = count.toString() + "bkmgtpe".charAt(unit);
        for (String written : List.of(text, text.toUpperCase(Locale.ROOT))) {
            NumberText size = NumberText.size(written);
            assertEquals(
                    bytes.bitLength() <= 64
                            ? OptionalLong.of(bytes.longValue())
                            : OptionalLong.empty(),
                    size.toOptional());
            assertEquals(written.length(), size.end());
        }
    }

    @Provide
    Arbitrary<String> nearlyNumbers() {
        return Arbitraries.strings().withChars(" +-0x19.eEkKMg\tf_").ofMaxLength(12);
    }

    @Property
    void noTextIsMisread(@ForAll("nearlyNumbers") String text) {
        for (NumberText number :
                List.of(
                        NumberText.signed(text),
                        NumberText.unsigned(text),
                        NumberText.wrapping(text),
                        NumberText.size(text))) {
            assertTrue(number.end() >= 0 && number.end() <= text.length());
            if (number.outcome() != NumberText.Outcome.NUMBER) {
                assertEquals(0, number.value());
            } else {
                assertEquals(text.length(), number.end());
            }
        }
        OptionalLong signed = NumberText.signed(text).toOptional();
        OptionalLong unsigned = NumberText.unsigned(text).toOptional();
        if (signed.isPresent() && signed.getAsLong() >= 0) {
            assertEquals(signed, unsigned);
        }
    }

    @Provide
    Arbitrary<JsonValue> values() {
        Arbitrary<JsonValue> leaves =
                Arbitraries.oneOf(
                        Arbitraries.longs().map(JsonNumber::of),
                        Arbitraries.longs().map(JsonNumber::ofUnsigned),
                        Arbitraries.doubles().filter(d -> d != Math.rint(d)).map(JsonNumber::of),
                        Arbitraries.strings()
                                .all()
                                .ofMaxLength(8)
                                .filter(TextPropertiesTest::isWhole)
                                .map(JsonString::new),
                        Arbitraries.of(true, false).map(JsonBoolean::new),
                        Arbitraries.just(JsonNull.NULL));
        return Arbitraries.recursive(() -> leaves, TextPropertiesTest::around, 0, 2);
    }

    /** Whether a text has no halves of characters and no noncharacters, which JSON cannot have. */
    private static boolean isWhole(String text) {
        return text.codePoints().allMatch(ModifiedUtf8::valid);
    }

    @Provide
    Arbitrary<String> oddTexts() {
        return Arbitraries.oneOf(
                        Arbitraries.chars().all(),
                        Arbitraries.of('\uFDD0', '\uFFFE', '\uD83F', '\uDFFF', '\0', 'a'))
                .list()
                .ofMaxSize(8)
                .map(
                        chars -> {
                            StringBuilder text = new StringBuilder();
                            chars.forEach(text::append);
                            return text.toString();
                        });
    }

    @Property(tries = 300)
    void whatJsonCannotHaveIsReplaced(@ForAll("oddTexts") String text) throws QmpException {
        StringBuilder expected = new StringBuilder();
        text.codePoints()
                .forEach(c -> expected.appendCodePoint(ModifiedUtf8.valid(c) ? c : 0xFFFD));
        JsonValue read = JsonStreamParser.parse(JsonPrinter.compact(new JsonString(text)));
        assertEquals(new JsonString(expected.toString()), read);
    }

    private static Arbitrary<JsonValue> around(Arbitrary<JsonValue> inner) {
        Arbitrary<List<JsonValue>> some = inner.list().ofMaxSize(3);
        Arbitrary<List<String>> names =
                Arbitraries.strings().alpha().ofMaxLength(6).list().ofSize(4);
        return Arbitraries.oneOf(
                some.map(JsonArray::of),
                Combinators.combine(some, names)
                        .as(
                                (members, keys) -> {
                                    JsonObject object = new JsonObject();
                                    for (int i = 0; i < members.size(); i++) {
                                        object.put(keys.get(i), members.get(i));
                                    }
                                    return object;
                                }));
    }

    @Property(tries = 100)
    void jsonComesBackHoweverItIsWrittenAndCut(
            @ForAll("values") JsonValue value, @ForAll @IntRange(min = 1, max = 9) int piece)
            throws QmpException {
        assertEquals(value, JsonStreamParser.parse(JsonPrinter.compact(value)));
        assertEquals(value, JsonStreamParser.parse(JsonPrinter.pretty(value)));
        JsonStreamParser parser = new JsonStreamParser();
        byte[] twice =
                (JsonPrinter.compact(value) + "\n" + JsonPrinter.pretty(value) + "\n")
                        .getBytes(StandardCharsets.UTF_8);
        List<JsonStreamParser.Message> all = new ArrayList<>();
        for (int at = 0; at < twice.length; at += piece) {
            ByteBuffer bytes = ByteBuffer.wrap(twice, at, Math.min(piece, twice.length - at));
            for (var m = parser.next(bytes); m != null; m = parser.next(bytes)) {
                all.add(m);
            }
        }
        for (var m = parser.end(); m != null; m = parser.end()) {
            all.add(m);
        }
        assertEquals(
                List.of(
                        new JsonStreamParser.Message(value, null),
                        new JsonStreamParser.Message(value, null)),
                all);
    }

    @Property
    void afterNoiseTheNextTextIsRead(@ForAll @Size(max = 60) byte[] noise) {
        JsonStreamParser parser = new JsonStreamParser();
        ByteBuffer bytes = ByteBuffer.wrap(noise);
        for (var m = parser.next(bytes); m != null; m = parser.next(bytes)) {
            assertTrue((m.value() == null) != (m.error() == null));
        }
        // The byte that no text has is how a client makes itself heard again.
        ByteBuffer good = ByteBuffer.wrap("\u00ff{\"a\":1}".getBytes(StandardCharsets.ISO_8859_1));
        JsonStreamParser.Message last = null;
        for (var m = parser.next(good); m != null; m = parser.next(good)) {
            last = m;
        }
        assertNotNull(last);
        assertNull(last.error());
        assertEquals(new JsonObject().put("a", 1), last.value());
    }

    @Property
    void bytesOfTextAreReadTheSameInAnyPieces(
            @ForAll @Size(max = 40) @ByteRange(min = 0x20, max = 0x7e) byte[] text) {
        assertEquals(messages(text, 1), messages(text, 40));
    }

    private static List<JsonStreamParser.Message> messages(byte[] text, int piece) {
        JsonStreamParser parser = new JsonStreamParser();
        List<JsonStreamParser.Message> all = new ArrayList<>();
        for (int at = 0; at < text.length; at += piece) {
            ByteBuffer bytes = ByteBuffer.wrap(text, at, Math.min(piece, text.length - at));
            for (var m = parser.next(bytes); m != null; m = parser.next(bytes)) {
                all.add(m);
            }
        }
        for (var m = parser.end(); m != null; m = parser.end()) {
            all.add(m);
        }
        return all;
    }
}
