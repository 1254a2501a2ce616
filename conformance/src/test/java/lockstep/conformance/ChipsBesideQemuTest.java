package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * The interrupt controllers and the interval timer in Java beside QEMU's: the same random accesses and interrupt inputs on
 * both, with every register read after each. Guest time stands still. {@code -Dchips=N} makes N times as many.
 */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(value = 600, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class ChipsBesideQemuTest {
    private static final int STEPS = 400 * Integer.getInteger("chips", 1);
    private static final long IOAPIC = 0xfec00000L;
    private static final long WINDOW = IOAPIC + 0x10;

    private final Random random = new Random(8259);
    private final Deque<String> history = new ArrayDeque<>();
    private final List<QtestMachine> both = new ArrayList<>();

    @BeforeAll
    void start(@TempDir Path directory) {
        Host.assumeProgram(Host.qemu());
        both.add(QtestMachine.qemu(directory, "-machine", "pc"));
        both.add(QtestMachine.ours(directory, "-machine", "pc", "-S"));
    }

    @AfterAll
    void end() {
        both.forEach(QtestMachine::close);
    }

    /** Asks both; {@code them} for QEMU, {@code us} for ours, where objects have other places. */
    private void ask(String them, String us) {
        String theirs = both.get(0).ask(them);
        history.add(them + " -> " + theirs);
        if (history.size() > 40) {
            history.remove();
        }
        assertEquals(theirs, both.get(1).ask(us), () -> String.join("\n", history));
    }

    private void ask(String command) {
        ask(command, command);
    }

    private int any(int... values) {
        return values[random.nextInt(values.length)];
    }

    /** The places of the two PICs in the object tree, the first one first. */
    private static List<String> pics(QtestMachine machine) {
        List<String> paths = new ArrayList<>();
        JsonObject answer = machine.execute("qom-list", "{\"path\": \"/machine/unattached\"}");
        for (var entry : ((JsonArray) answer.get("return")).elements()) {
            JsonObject property = (JsonObject) entry;
            if (((JsonString) property.get("type")).value().endsWith("i8259>")) {
                paths.add("/machine/unattached/" + ((JsonString) property.get("name")).value());
            }
        }
        assertEquals(2, paths.size());
        return paths;
    }

    @Test
    void interruptControllersAnswerTheSame() {
        List<String> theirs = pics(both.get(0));
        List<String> ours = pics(both.get(1));
        BitSet levels = new BitSet();
        for (int step = 0; step < STEPS; step++) {
            int chip = random.nextInt(2);
            int port = chip == 0 ? 0x20 : 0xa0;
            int n = chip * 8 + random.nextInt(8);
            switch (random.nextInt(12)) {
                case 0 -> ask("outb " + port + " " + (any(0x10, 0x11, 0x12, 0x13) | any(0, 0, 4)));
                case 1, 2, 3 -> ask("outb " + port + " " + (random.nextInt(256) & ~0x10));
                case 4, 5, 6 -> {
                    // Few bits: half of what can be masked stays open.
                    int value = random.nextInt(256);
                    value &= random.nextInt(256);
                    ask("outb " + (port + 1) + " " + value);
                }
                case 7 -> ask("outb " + (0x4d0 + chip) + " " + random.nextInt(256));
                default -> {
                    levels.flip(n);
                    String pin = " unnamed-gpio-in " + n % 8 + (levels.get(n) ? " 1" : " 0");
                    ask(
                            "set_irq_in " + theirs.get(chip) + pin,
                            "set_irq_in " + ours.get(chip) + pin);
                }
            }
            for (int register : new int[] {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1}) {
                ask("inb " + register);
            }
        }
    }

    @Test
    void theTimerAnswersTheSame() {
        for (int step = 0; step < STEPS; step++) {
            switch (random.nextInt(6)) {
                case 0 -> {
                    // Not modes 6 and 7, which QEMU takes for 0, and not BCD, which it ignores.
                    int mode = random.nextInt(6) << 1;
                    int word = random.nextInt(3) << 6 | random.nextInt(4) << 4 | mode;
                    ask("outb 0x43 " + word);
                }
                case 1 -> ask("outb 0x43 " + (0xc0 | random.nextInt(64) & 0x3e));
                case 2 -> ask("outb 0x61 " + random.nextInt(4));
                default -> ask("outb " + (0x40 + random.nextInt(3)) + " " + random.nextInt(256));
            }
            for (int register : new int[] {0x40, 0x41, 0x42, 0x61}) {
                ask("inb " + register);
            }
        }
    }

    @Test
    void theIoapicAnswersTheSame() {
        BitSet levels = new BitSet();
        for (int step = 0; step < STEPS; step++) {
            switch (random.nextInt(8)) {
                case 0, 1, 2 -> {
                    int pin = 1 + random.nextInt(23);
                    levels.flip(pin);
                    ask(
                            "set_irq_in ioapic unnamed-gpio-in "
                                    + pin
                                    + (levels.get(pin) ? " 1" : " 0"));
                }
                case 3, 4, 5 -> {
                    int register =
                            any(
                                    0,
                                    1,
                                    2,
                                    0x40,
                                    0x10 + random.nextInt(48),
                                    0x10 + random.nextInt(48));
                    ask("writel " + IOAPIC + " " + register);
                    // Of the low word: vector, fixed or lowest priority, logical, polarity, level,
                    // mask.
                    int low = random.nextInt(256) | random.nextInt(1 << 17) & 0x1a900;
                    int high = random.nextInt(256) << 24;
                    ask(
                            "writel "
                                    + WINDOW
                                    + " "
                                    + ((register & 1) == 0 ? low : high & 0xffffffffL));
                }
                case 6 -> ask("writel " + (IOAPIC + 0x40) + " " + random.nextInt(256));
                default -> ask("writeb " + IOAPIC + " " + random.nextInt(0x50));
            }
            ask("readl " + WINDOW);
            ask("readl " + IOAPIC);
        }
        for (int register = 0; register < 0x41; register++) {
            ask("writel " + IOAPIC + " " + register);
            ask("readl " + WINDOW);
        }
        assertTrue(history.size() > 1);
    }

    /** Whatever the others have done to the chips. */
    @Test
    void theMonitorShowsTheSame() {
        assertEquals(both.get(0).human("info pic"), both.get(1).human("info pic"));
    }
}
