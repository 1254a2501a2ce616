package lockstep.devices.ps2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.pc.Bench;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

/** The 8042, an AT keyboard and a PS/2 mouse, by IBM's PS/2 hardware interface technical reference. */
final class Ps2Test {
    private static final int DATA = 0x60;
    private static final int STATUS = 0x64;
    private static final int COMMAND = 0x64;

    private static final int FULL = 0x01;
    private static final int FROM_MOUSE = 0x20;

    private static final int ACK = 0xfa;
    private static final int RESEND = 0xfe;

    private static final String CONTROLLER = "pckbd";
    private static final String KEYBOARD = "ps2kbd";
    private static final String MOUSE = "ps2mouse";

    /** Where the fields of a device's section lie. */
    private static final int AT_COUNT = 12;

    private static final int AT_SCAN_CODE_SET = 16 + 256 + 8;

    @AutoClose private Bench pc;

    @BeforeEach
    void powerOn() throws Exception {
        pc = new Bench();
    }

    private void command(int... bytes) {
        for (int b : bytes) {
            pc.out(COMMAND, b);
        }
    }

    /** All bytes that wait. */
    private List<Integer> drain() {
        List<Integer> bytes = new ArrayList<>();
        while ((pc.in(STATUS) & FULL) != 0 && bytes.size() < 300) {
            bytes.add(pc.in(DATA));
        }
        return bytes;
    }

    /** What the keyboard answers to the last of the bytes. */
    private List<Integer> keyboard(int... bytes) {
        List<Integer> answer = List.of();
        for (int b : bytes) {
            pc.out(DATA, b);
            answer = drain();
        }
        return answer;
    }

    /** What the mouse answers to the last of the bytes. */
    private List<Integer> mouse(int... bytes) {
        List<Integer> answer = List.of();
        for (int b : bytes) {
            command(0xd4);
            pc.out(DATA, b);
            answer = drain();
        }
        return answer;
    }

    private List<Integer> controller(int command) {
        command(command);
        return drain();
    }

    private void mode(int mode) {
        command(0x60);
        pc.out(DATA, mode);
    }

    @Test
    void controllerAfterReset() {
        assertEquals(0x18, pc.in(STATUS), "not locked, last byte a command, self test still due");
        assertEquals(List.of(0x55), controller(0xaa), "self test");
        assertEquals(0x1c, pc.in(STATUS));
        assertEquals(List.of(0x03), controller(0x20), "both interrupts, no translation");
        assertEquals(List.of(0x00), controller(0xab), "keyboard interface test");
        assertEquals(List.of(0x00), controller(0xa9), "mouse interface test");
        assertEquals(List.of(0x80), controller(0xc0), "input port: not locked");
        assertEquals(List.of(0xcf), controller(0xd0), "output port: A20 and no reset");
        mode(0x45);
        assertEquals(List.of(0x45), controller(0x20));
        for (int unknown : new int[] {0x00, 0x1f, 0x61, 0xac, 0xbf, 0xff}) {
            assertEquals(List.of(), controller(unknown));
        }
    }

    @Test
    void bytesOfTheControllersOwnMaking() {
        command(0xd2);
        pc.out(DATA, 0x42);
        assertEquals(FULL, pc.in(STATUS) & (FULL | FROM_MOUSE));
        assertTrue(pc.irq(1));
        assertEquals(List.of(0x42), drain());
        command(0xd3);
        pc.out(DATA, 0x43);
        assertEquals(FULL | FROM_MOUSE, pc.in(STATUS) & (FULL | FROM_MOUSE));
        assertTrue(pc.irq(12));
        assertEquals(0x43, pc.in(DATA));
        assertFalse(pc.irq(12));
        assertEquals(0x43, pc.in(DATA), "an empty buffer gives its last byte");
    }

    @Test
    void interruptsFollowTheModeByte() {
        int[][] cases = {{0x00, 0, 0}, {0x01, 1, 0}, {0x02, 0, 1}, {0x03, 1, 1}};
        for (int[] c : cases) {
            mode(c[0]);
            pc.out(DATA, 0xee);
            assertEquals(c[1] != 0, pc.irq(1), "keyboard in mode " + c[0]);
            assertFalse(pc.irq(12));
            drain();
            command(0xd4);
            pc.out(DATA, 0xe6);
            assertEquals(c[2] != 0, pc.irq(12), "mouse in mode " + c[0]);
            assertFalse(pc.irq(1));
            drain();
        }
        mode(0x00);
        pc.out(DATA, 0xee);
        mode(0x01);
        assertTrue(pc.irq(1), "a byte that waited");
    }

    @Test
    void disabledInterfacesHoldTheirBytes() {
        command(0xd4);
        pc.out(DATA, 0xf2);
        pc.in(DATA);
        command(0xa7);
        pc.in(DATA);
        assertEquals(List.of(0x20 | 0x03), controller(0x20), "the mouse is disabled");
        command(0xa8);
        command(0xad);
        assertEquals(List.of(0x13), controller(0x20), "the keyboard is disabled");
        command(0xae);
        assertEquals(List.of(0x03), controller(0x20));
        pc.out(DATA, 0xf2);
        pc.in(DATA);
        pc.in(DATA);
        command(0xad);
        pc.in(DATA);
        assertEquals(List.of(), drain());
        assertEquals(List.of(0xee), keyboard(0xee), "sending to it enables it");
        assertEquals(List.of(0x03), controller(0x20));
    }

    @Test
    void theMousesByteWaitsForTheKeyboards() {
        command(0xd4);
        pc.out(DATA, 0xf2);
        pc.out(DATA, 0xee);
        assertEquals(FROM_MOUSE, pc.in(STATUS) & FROM_MOUSE, "was first");
        assertEquals(List.of(ACK, 0xee, 0x00), drain());
    }

    @Test
    void outputPortA20AndReset() {
        command(0xdd);
        assertEquals(List.of(0xcd), controller(0xd0));
        command(0xdf);
        assertEquals(List.of(0xcf), controller(0xd0));
        command(0xd1);
        pc.out(DATA, 0xdd);
        assertEquals(List.of(0xdd), controller(0xd0));
        assertFalse(pc.asked("requestReset"));
        command(0xd1);
        pc.out(DATA, 0xde);
        assertTrue(pc.asked("requestReset"), "bit 0 is the reset line");
        command(0xff, 0xf1, 0xfd);
        assertFalse(pc.asked("requestReset"), "pulses of other bits");
        for (int pulse : new int[] {0xfe, 0xf0, 0xfc}) {
            command(pulse);
            assertTrue(pc.asked("requestReset"));
        }
        pc.out(0x92, 0x02);
        assertEquals(0x02, pc.in(0x92));
        assertFalse(pc.asked("requestReset"));
        pc.out(0x92, 0x03, 0x03);
        assertTrue(pc.asked("requestReset"), "fast reset");
    }

    @Test
    void keyboardCommands() {
        assertEquals(List.of(0xee), keyboard(0xee), "echo");
        assertEquals(List.of(ACK, 0xab, 0x83), keyboard(0xf2), "identity");
        assertEquals(List.of(ACK, 0xaa), keyboard(0xff), "reset and self test");
        for (int plain : new int[] {0xf4, 0xf5, 0xf6, 0xfa}) {
            assertEquals(List.of(ACK), keyboard(plain));
        }
        assertEquals(List.of(ACK), keyboard(0xed), "LEDs");
        assertEquals(List.of(ACK), keyboard(0x07));
        assertEquals(List.of(ACK), keyboard(0xf3), "typematic rate");
        assertEquals(List.of(ACK), keyboard(0x20));
        assertEquals(List.of(ACK), keyboard(0xfc), "a key without typematic");
        assertEquals(List.of(ACK), keyboard(0x1c));
        for (int unknown : new int[] {0x05, 0x20, 0xec, 0xf1, 0xfe}) {
            assertEquals(List.of(RESEND), keyboard(unknown));
        }
    }

    @Test
    void scanCodeSets() {
        assertEquals(List.of(ACK, 2), keyboard(0xf0, 0));
        for (int set = 1; set <= 3; set++) {
            assertEquals(List.of(ACK), keyboard(0xf0, set));
            assertEquals(List.of(ACK, set), keyboard(0xf0, 0));
        }
        assertEquals(List.of(RESEND), keyboard(0xf0, 4));
        assertEquals(List.of(ACK, 3), keyboard(0xf0, 0));
        keyboard(0xf6);
        assertEquals(List.of(ACK, 2), keyboard(0xf0, 0), "the default");
    }

    @Test
    void theControllerTranslates() {
        mode(0x43);
        assertEquals(List.of(ACK, 0xab, 0x41), keyboard(0xf2));
        int[] translated = {0, 0x43, 0x41, 0x3f};
        for (int set = 1; set <= 3; set++) {
            keyboard(0xf0, set);
            assertEquals(List.of(ACK, translated[set]), keyboard(0xf0, 0));
        }
    }

    /** A keyboard without a controller, on which keys can be pressed. */
    private static List<Integer> codes(Keyboard keyboard) {
        List<Integer> codes = new ArrayList<>();
        while (keyboard.hasData()) {
            codes.add(keyboard.read());
        }
        return codes;
    }

    @Test
    void keysPlainAndTranslated() {
        Keyboard k = new Keyboard();
        k.key(0x1c);
        k.key(0xf0, 0x1c);
        assertEquals(List.of(0x1c, 0xf0, 0x1c), codes(k), "A goes down and up in set 2");
        k.translate(true);
        k.key(0x1c);
        k.key(0xf0, 0x1c);
        assertEquals(List.of(0x1e, 0x9e), codes(k), "and in set 1");
        k.key(0xe0, 0x75);
        k.key(0xe0, 0xf0, 0x75);
        assertEquals(List.of(0xe0, 0x48, 0xe0, 0xc8), codes(k), "cursor up");
        k.key(0x83);
        assertEquals(List.of(0x41), codes(k), "F7");
        k.write(0xf5);
        codes(k);
        k.key(0x1c);
        assertEquals(List.of(), codes(k), "scanning is off");
    }

    @Test
    void printIsSystemRequestWithAlt() {
        Keyboard k = new Keyboard();
        k.key(0xb7, true);
        k.key(0xb7, false);
        assertEquals(List.of(0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12), codes(k));
        k.translate(true);
        k.key(0x54, true);
        k.key(0x54, false);
        assertEquals(List.of(0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa), codes(k));
        k.key(0x38, true);
        assertEquals(List.of(0x38), codes(k));
        k.key(0xb7, true);
        k.key(0xb7, false);
        assertEquals(List.of(0xb8, 0x38, 0x54, 0xd4, 0xb8, 0x38), codes(k));
        k.key(0x38, false);
        k.key(0xb8, true);
        codes(k);
        k.key(0xb7, true);
        k.key(0xb7, false);
        assertEquals(List.of(0xe0, 0xb8, 0xe0, 0x38, 0x54, 0xd4, 0xe0, 0xb8, 0xe0, 0x38), codes(k));
        k.key(0xb8, false);
        k.key(0x36, true);
        codes(k);
        k.key(0xb7, true);
        k.key(0xb7, false);
        assertEquals(List.of(0xe0, 0x37, 0xe0, 0xb7), codes(k), "a shift is there already");
    }

    @Test
    void keysThatNobodyReadsAreLostAndAnswersAreNot() {
        Keyboard k = new Keyboard();
        for (int i = 0; i < 40; i++) {
            k.key(0x1c);
        }
        k.write(0xee);
        List<Integer> codes = codes(k);
        assertEquals(0xee, codes.getFirst(), "the answer comes first");
        assertEquals(17, codes.size());
        k.write(0xf2);
        k.read();
        k.write(0xee);
        assertEquals(List.of(0xee), codes(k), "a new answer replaces what is left of the last");
    }

    @Test
    void mouseCommands() {
        assertEquals(List.of(ACK, 0xaa, 0x00), mouse(0xff), "reset, self test, a plain mouse");
        assertEquals(List.of(ACK, 0x00, 0x02, 0x64), mouse(0xe9), "defaults");
        mouse(0xf4, 0xe7, 0xf0, 0xe8, 3, 0xf3, 60);
        assertEquals(List.of(ACK, 0x70, 0x03, 60), mouse(0xe9), "remote, enabled, scaling 2:1");
        mouse(0xe6, 0xea, 0xf5);
        assertEquals(List.of(ACK, 0x00, 0x03, 60), mouse(0xe9));
        mouse(0xf4, 0xf6);
        assertEquals(List.of(ACK, 0x00, 0x02, 0x64), mouse(0xe9), "defaults again");
        assertEquals(List.of(), mouse(0x42), "unknown");
    }

    @Test
    void mouseWrapMode() {
        mouse(0xff);
        assertEquals(List.of(ACK), mouse(0xee));
        assertEquals(List.of(0xf2), mouse(0xf2), "echoed");
        assertEquals(List.of(0xee), mouse(0xee));
        assertEquals(List.of(ACK), mouse(0xec));
        assertEquals(List.of(ACK, 0x00), mouse(0xf2));
        mouse(0xee);
        assertEquals(List.of(ACK, 0xaa, 0x00), mouse(0xff), "reset is obeyed");
        assertEquals(List.of(ACK, 0x00), mouse(0xf2));
    }

    @Test
    void theKnockThatFindsAWheel() {
        mouse(0xff, 0xf3, 200, 0xf3, 100, 0xf3, 80);
        assertEquals(List.of(ACK, 0x03), mouse(0xf2), "IntelliMouse");
        assertEquals(List.of(ACK, 0x08, 0, 0, 0), mouse(0xeb), "four bytes in a packet");
        mouse(0xf3, 200, 0xf3, 200, 0xf3, 80);
        assertEquals(List.of(ACK, 0x04), mouse(0xf2), "five buttons");
        mouse(0xf6);
        assertEquals(List.of(ACK, 0x04), mouse(0xf2), "defaults do not take it back");
        mouse(0xff, 0xf3, 200, 0xf3, 80, 0xf3, 100);
        assertEquals(List.of(ACK, 0x00), mouse(0xf2), "another sequence");
        assertEquals(List.of(ACK, 0x08, 0, 0), mouse(0xeb));
    }

    private static List<Integer> bytes(Mouse mouse) {
        List<Integer> bytes = new ArrayList<>();
        while (mouse.hasData()) {
            bytes.add(mouse.read());
        }
        return bytes;
    }

    private static Mouse newMouse(int... commands) {
        Mouse m = new Mouse();
        m.write(0xff);
        for (int c : commands) {
            m.write(c);
        }
        bytes(m);
        return m;
    }

    @Test
    void streamMode() {
        Mouse m = newMouse();
        m.moved(5, 5, 0, 1);
        assertEquals(List.of(), bytes(m), "data reporting is off");
        m.write(0xf4);
        bytes(m);
        m.moved(5, -3, 0, 1);
        assertEquals(List.of(0x29, 5, 0xfd), bytes(m), "left button, y is negative");
        m.moved(-300, 0, 0, 0);
        assertEquals(
                List.of(0x18, 0x81, 0, 0x18, 0x81, 0, 0x18, 0xd2, 0), bytes(m), "in three parts");
        for (int i = 0; i < 50; i++) {
            m.moved(1, 1, 0, 0);
        }
        assertEquals(15, bytes(m).size(), "whole packets only");
        m.moved(0, 0, 0, 0);
        assertEquals(List.of(0x08, 45, 45), bytes(m), "what did not fit is not forgotten");
    }

    @Test
    void remoteModeAndWheel() {
        Mouse m = newMouse(0xf3, 200, 0xf3, 200, 0xf3, 80, 0xf4, 0xf0);
        m.moved(1, 2, -1, 0x10);
        assertEquals(List.of(), bytes(m), "only when polled");
        m.write(0xeb);
        assertEquals(List.of(ACK, 0x08, 1, 2, 0x2f), bytes(m), "fifth button, wheel -1");
        m.write(0xeb);
        assertEquals(List.of(ACK, 0x08, 0, 0, 0x20), bytes(m));
    }

    @Test
    void reset() {
        mode(0x43);
        keyboard(0xf0, 3);
        mouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
        pc.out(DATA, 0xf2);
        pc.reset();
        assertEquals(0x18, pc.in(STATUS));
        assertFalse(pc.irq(1));
        assertEquals(List.of(0x03), controller(0x20));
        assertEquals(List.of(ACK, 2), keyboard(0xf0, 0));
        assertEquals(List.of(ACK, 0), mouse(0xf2));
    }

    @Test
    void goesOnElsewhere() throws Exception {
        mode(0x47);
        mouse(0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4);
        keyboard(0xed, 7);
        pc.out(DATA, 0xf2);
        pc.in(DATA);
        command(0xd4);
        pc.out(DATA, 0xe8);
        Bench other = new Bench();
        for (String section : List.of(KEYBOARD, MOUSE, CONTROLLER)) {
            byte[] state = pc.save(section);
            other.load(section, state);
            assertArrayEquals(state, other.save(section), section);
        }
        pc = other;
        assertTrue(pc.irq(1), "the rest of the keyboard's identity");
        assertEquals(List.of(0xab, 0x41, ACK), drain());
        assertEquals(List.of(ACK), mouse(1), "the resolution");
        assertEquals(List.of(ACK, 0x20, 1, 80), mouse(0xe9));
        assertEquals(List.of(ACK, 3), mouse(0xf2));
        assertEquals(List.of(0x47), controller(0x20));
    }

    @Test
    void badSections() throws Exception {
        byte[] state = pc.save(KEYBOARD);
        for (int set : new int[] {0, 4, 255}) {
            pc.refuses(KEYBOARD, Bench.with(state, AT_SCAN_CODE_SET + 3, set));
        }
        pc.load(KEYBOARD, Bench.with(state, AT_COUNT, 0, 0, 1, 1));
        assertEquals(List.of(ACK, 2), keyboard(0xf0, 0), "an impossible queue is an empty one");
        mouse(0xf4);
        pc.out(DATA, 0xf2);
        command(0xd4);
        pc.out(DATA, 0xe9);
        for (String section : List.of(KEYBOARD, MOUSE, CONTROLLER)) {
            pc.survivesDamage(
                    section,
                    () -> {
                        pc.in(DATA);
                        pc.out(DATA, 0xf2);
                        command(0xd4);
                        pc.out(DATA, 0xeb);
                        pc.in(DATA);
                    });
        }
        pc.reset();
        assertEquals(List.of(0xee), keyboard(0xee));
    }

    private static List<Integer> bytesOf(Keyboard keyboard) {
        List<Integer> bytes = new ArrayList<>();
        while (keyboard.hasData()) {
            bytes.add(keyboard.read());
        }
        return bytes;
    }

    @Test
    void keysByNumberComeInTheSetThatTheGuestChose() {
        Keyboard keyboard = new Keyboard();
        keyboard.key(0x1e, true);
        keyboard.key(0x1e, false);
        keyboard.key(0xd3, true);
        keyboard.key(0xd3, false);
        keyboard.key(0x41, true);
        assertEquals(
                List.of(0x1c, 0xf0, 0x1c, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0x83), bytesOf(keyboard));
        keyboard.key(0xc6, true);
        keyboard.key(0xc6, false);
        assertEquals(
                List.of(0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77),
                bytesOf(keyboard),
                "Pause says nothing when it comes up");
        keyboard.translate(true);
        keyboard.key(0x1e, true);
        keyboard.key(0x1e, false);
        keyboard.key(0xd3, false);
        assertEquals(List.of(0x1e, 0x9e, 0xe0, 0xd3), bytesOf(keyboard), "the controller's set 1");
    }
}
