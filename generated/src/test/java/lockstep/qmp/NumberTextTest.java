package lockstep.qmp;

import static lockstep.qmp.NumberText.Outcome.INVALID;
import static lockstep.qmp.NumberText.Outcome.NUMBER;
import static lockstep.qmp.NumberText.Outcome.OUT_OF_RANGE;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.OptionalLong;

/** What QEMU takes for a number, and what it does not. */
final class NumberTextTest {
    @Test
    void integers() {
        assertEquals(OptionalLong.of(255), NumberText.unsigned("0xff").toOptional());
        assertEquals(OptionalLong.of(8), NumberText.unsigned(" +010").toOptional());
        assertEquals(OptionalLong.of(-1), NumberText.unsigned("18446744073709551615").toOptional());
        assertEquals(OUT_OF_RANGE, NumberText.unsigned("18446744073709551616").outcome());
        assertTrue(NumberText.unsigned("-1").toOptional().isEmpty());
        assertEquals(OptionalLong.of(-5), NumberText.signed("-5").toOptional());
        assertEquals(
                OptionalLong.of(Long.MIN_VALUE),
                NumberText.signed("-9223372036854775808").toOptional());
        assertEquals(OUT_OF_RANGE, NumberText.signed("9223372036854775808").outcome());
        assertEquals(OptionalLong.of(-1), NumberText.wrapping("-1").toOptional());
        assertEquals(
                OptionalLong.of(Long.MAX_VALUE),
                NumberText.wrapping("-9223372036854775809").toOptional());
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            value = {
                "\"\"", "\" \"", "1.5", "1K", "\"1 \"", "--1", "0x", "0xg", "08", "1e3", "nan",
                "inf", "abc", "1abc", "+", "-"
            })
    void notIntegers(String text) {
        assertEquals(INVALID, NumberText.signed(text).outcome());
        assertEquals(INVALID, NumberText.unsigned(text).outcome());
        assertEquals(INVALID, NumberText.wrapping(text).outcome());
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            value = {
                "512,512",
                "1k,1024",
                "1.5M,1572864",
                "0.5K,512",
                ".5M,524288",
                "5.,5",
                "5.M,5242880",
                "2.0,2",
                "1.9999999999999999999K,2048",
                "0.0001K,0",
                "0.0005K,1",
                "12.345M,12944671",
                "2G,2147483648",
                "1E,1152921504606846976",
                "15E,-1152921504606846976",
                "18446744073709551615,-1",
                "0x10,16",
                "010,10",
                "08,8",
                "\" 1\",1",
                "+1M,1048576",
                "8B,8"
            })
    void sizes(String text, long bytes) {
        assertEquals(new NumberText(NUMBER, bytes, text.length()), NumberText.size(text));
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            value = {
                "\"\"",
                "abc",
                "M",
                ".",
                ".M",
                "1x",
                "1.5",
                "0.5",
                ".5",
                "1kk",
                "1KiB",
                "1KB",
                "\"1 M\"",
                "\"1 \"",
                "--1",
                "0x",
                "0x10M",
                "0xg",
                "0x1.5",
                "1e3",
                "1e3M",
                "1E1",
                "nan",
                "inf",
                "-inf",
                "-1M",
                "99999999999999999999M"
            })
    void notSizes(String text) {
        assertEquals(INVALID, NumberText.size(text).outcome());
    }

    @ParameterizedTest
    @CsvSource({
        "-1",
        "16E",
        "17E",
        "18446744073709551616",
        "99999999999999999999",
        "15.99999999999999999999E"
    })
    void sizesOutOfRange(String text) {
        assertEquals(OUT_OF_RANGE, NumberText.size(text).outcome());
    }

    @Test
    void defaultUnitAndWhatFollows() {
        assertEquals(OptionalLong.of(3 << 20), NumberText.size("3", 'M').toOptional());
        assertEquals(OptionalLong.of(3 << 19), NumberText.size("1.5", 'M').toOptional());
        assertEquals(new NumberText(NUMBER, 1024, 5), NumberText.sizeAt("a: 1kk", 3, 'M'));
    }

    @Test
    void reals() {
        assertEquals(1500, NumberText.real("1.5e3").orElseThrow());
        assertEquals(16, NumberText.real("0x10").orElseThrow());
        for (String text : new String[] {"", "nan", "inf", "1e999", "1f", "1 ", "1.5.5"}) {
            assertTrue(NumberText.real(text).isEmpty(), text);
        }
    }
}
