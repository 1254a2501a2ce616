package lockstep.tools.img;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.HumanSize;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;

import java.util.List;

/** What users write and read: sizes and options. */
class NumbersPropertiesTest {
    /** Three digits are off by half of the last one at most. */
    @Property
    void aSizeInWordsIsNear(@ForAll @LongRange(min = 0) long bytes) {
        String[] words = HumanSize.of(bytes).split(" ");
        int unit = List.of("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB").indexOf(words[1]);
        double told = Double.parseDouble(words[0]) * Math.pow(1024, unit);
        assertTrue(Math.abs(told - bytes) <= bytes * 0.00501, bytes + " is told as " + words[0]);
        assertTrue(words[0].replace(".", "").replaceFirst("^0+", "").length() <= 4);
    }

    @Example
    void sizesAreToldAsQemuImgDoes() {
        assertEquals("0 B", HumanSize.of(0));
        assertEquals("196 KiB", HumanSize.of(200704));
        assertEquals("1.26 MiB", HumanSize.of(1323008));
        assertEquals("64 MiB", HumanSize.of(64 << 20));
        assertEquals("0.977 KiB", HumanSize.of(1000));
    }

    @Example
    void optionsStandAnywhere() throws ToolException {
        Options options =
                Options.parse(
                        List.of("a", "-pO", "raw", "b", "--output=json", "--", "-x"),
                        "p O= --output=");
        assertEquals(List.of("a", "b", "-x"), options.arguments());
        assertEquals("raw", options.get("O"));
        assertEquals("json", options.get("--output"));
        assertTrue(options.has("p"));
    }
}
