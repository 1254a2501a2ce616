package lockstep.devices.pc;

import lockstep.api.IntWrapper;
import lockstep.api.KeyValue;
import lockstep.api.MouseInfo;
import lockstep.api.QKeyCode;
import lockstep.api.QKeyCodeWrapper;
import lockstep.devices.board.PcBoard;
import lockstep.devices.ps2.Controller;
import lockstep.devices.usb.Pointer;
import lockstep.devices.usb.UsbBuses;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a user types and points at, for the newest keyboard of a board, on USB or else on PS/2, and for the mouse or tablet
 * whose turn it is: that which a user chose or the guest began to ask last. Nothing arrives while the guest stands still.
 * Under the machine lock.
 */
final class UserInput {
    private static final long NANOSECONDS = 1_000_000;
    private static final long USUAL_HOLD = 100;

    private static final int PS2_KEYBOARD = 1;
    private static final int PS2_MOUSE = 2;

    /** Names of keys by their code in set 1, from 0x01 on; those after 0xe0 from the second list. */
    private static final String PLAIN =
            "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab q w e r t y u i o p bracket_left"
                + " bracket_right ret ctrl a s d f g h j k l semicolon apostrophe grave_accent"
                + " shift backslash z x c v b n m comma dot slash shift_r kp_multiply alt spc"
                + " caps_lock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock kp_7 kp_8 kp_9"
                + " kp_subtract kp_4 kp_5 kp_6 kp_add kp_1 kp_2 kp_3 kp_0 kp_decimal sysrq - less"
                + " f11 f12 kp_equals";

    private static final Map<QKeyCode, Integer> OTHERS =
            Map.ofEntries(
                    Map.entry(QKeyCode.ASTERISK, 0x37),
                    Map.entry(QKeyCode.KATAKANAHIRAGANA, 0x70),
                    Map.entry(QKeyCode.RO, 0x73),
                    Map.entry(QKeyCode.HIRAGANA, 0x77),
                    Map.entry(QKeyCode.HENKAN, 0x79),
                    Map.entry(QKeyCode.MUHENKAN, 0x7b),
                    Map.entry(QKeyCode.YEN, 0x7d),
                    Map.entry(QKeyCode.KP_COMMA, 0x7e),
                    Map.entry(QKeyCode.KP_ENTER, 0x9c),
                    Map.entry(QKeyCode.CTRL_R, 0x9d),
                    Map.entry(QKeyCode.KP_DIVIDE, 0xb5),
                    Map.entry(QKeyCode.PRINT, 0xb7),
                    Map.entry(QKeyCode.ALT_R, 0xb8),
                    Map.entry(QKeyCode.PAUSE, 0xc6),
                    Map.entry(QKeyCode.HOME, 0xc7),
                    Map.entry(QKeyCode.UP, 0xc8),
                    Map.entry(QKeyCode.PGUP, 0xc9),
                    Map.entry(QKeyCode.LEFT, 0xcb),
                    Map.entry(QKeyCode.RIGHT, 0xcd),
                    Map.entry(QKeyCode.END, 0xcf),
                    Map.entry(QKeyCode.DOWN, 0xd0),
                    Map.entry(QKeyCode.PGDN, 0xd1),
                    Map.entry(QKeyCode.INSERT, 0xd2),
                    Map.entry(QKeyCode.DELETE, 0xd3),
                    Map.entry(QKeyCode.META_L, 0xdb),
                    Map.entry(QKeyCode.META_R, 0xdc),
                    Map.entry(QKeyCode.COMPOSE, 0xdd),
                    Map.entry(QKeyCode.POWER, 0xde),
                    Map.entry(QKeyCode.SLEEP, 0xdf),
                    Map.entry(QKeyCode.WAKE, 0xe3),
                    Map.entry(QKeyCode.AUDIOPREV, 0x90),
                    Map.entry(QKeyCode.AUDIONEXT, 0x99),
                    Map.entry(QKeyCode.AUDIOMUTE, 0xa0),
                    Map.entry(QKeyCode.CALCULATOR, 0xa1),
                    Map.entry(QKeyCode.AUDIOPLAY, 0xa2),
                    Map.entry(QKeyCode.AUDIOSTOP, 0xa4),
                    Map.entry(QKeyCode.VOLUMEDOWN, 0xae),
                    Map.entry(QKeyCode.VOLUMEUP, 0xb0),
                    Map.entry(QKeyCode.AC_HOME, 0xb2),
                    Map.entry(QKeyCode.AC_BOOKMARKS, 0xe6),
                    Map.entry(QKeyCode.AC_REFRESH, 0xe7),
                    Map.entry(QKeyCode.STOP, 0xe8),
                    Map.entry(QKeyCode.AC_FORWARD, 0xe9),
                    Map.entry(QKeyCode.AC_BACK, 0xea),
                    Map.entry(QKeyCode.COMPUTER, 0xeb),
                    Map.entry(QKeyCode.MAIL, 0xec),
                    Map.entry(QKeyCode.MEDIASELECT, 0xed));

    private static final Map<QKeyCode, Integer> NUMBERS = numbers();

    /** A key going down or up. */
    private record Stroke(int number, boolean down) {}

    private static final int MOST_WAITING = 1024;

    private final Vmm vmm;
    private final PcBoard board;
    private final UsbBuses usb;
    private final Timer next;
    private final Deque<Stroke> strokes = new ArrayDeque<>();
    private final Deque<Long> holds = new ArrayDeque<>();
    private int buttons;

    /** When a mouse or tablet was last chosen, by its number; the rest stand behind in the order of numbers. */
    private final Map<Integer, Integer> chosen = new HashMap<>();

    private int choices;

    /**
     * A mouse or tablet.
     *
     * @param index its number among all devices for a user's hand
     * @param usb null for that on PS/2
     */
    private record Mouse(int index, @Nullable Pointer usb) {
        boolean absolute() {
            return usb != null && usb.absolute();
        }

        String name() {
            return usb == null
                    ? "QEMU PS/2 Mouse"
                    : "QEMU HID " + (absolute() ? "Tablet" : "Mouse");
        }
    }

    UserInput(Vmm vmm, PcBoard board, UsbBuses usb, DeviceScope scope) {
        this.vmm = vmm;
        this.board = board;
        this.usb = usb;
        next = scope.timer(ClockType.VIRTUAL, this::stroke);
        usb.onFirstPoll(this::choose);
    }

    private static Map<QKeyCode, Integer> numbers() {
        Map<QKeyCode, Integer> all = new HashMap<>(OTHERS);
        int number = 1;
        for (String name : PLAIN.split(" ")) {
            QKeyCode key = QKeyCode.find(name);
            if (key != null) {
                all.put(key, number);
            }
            number++;
        }
        return all;
    }

    /**
     * Reads keys as the human monitor has them: names or codes with dashes between.
     *
     * @throws QmpException for what is no key
     */
    static List<KeyValue> parse(String text) throws QmpException {
        List<KeyValue> keys = new ArrayList<>();
        for (String name : text.split("-", -1)) {
            QKeyCode key = QKeyCode.find(name.equals("<") ? "less" : name);
            if (key != null) {
                keys.add(KeyValue.Qcode.builder().data(new QKeyCodeWrapper(key)).build());
                continue;
            }
            try {
                if (!name.startsWith("0x")) {
                    throw new NumberFormatException(name);
                }
                long code = Long.parseLong(name.substring(2), 16);
                keys.add(KeyValue.Number.builder().data(new IntWrapper(code)).build());
            } catch (NumberFormatException e) {
                throw new QmpException("invalid parameter: " + name);
            }
        }
        return keys;
    }

    /**
     * Presses the keys in turn and lets them go in reverse.
     *
     * @param hold milliseconds after each of these; 0 or less for the usual 100
     */
    void press(List<KeyValue> keys, long hold) {
        if (!vmm.run().running()) {
            return;
        }
        long wait = (hold > 0 ? Math.min(hold, Integer.MAX_VALUE) : USUAL_HOLD) * NANOSECONDS;
        List<Integer> numbers = keys.stream().map(UserInput::number).toList();
        numbers.forEach(n -> add(new Stroke(n, true), wait));
        numbers.reversed().forEach(n -> add(new Stroke(n, false), wait));
        if (!next.armed() && !strokes.isEmpty()) {
            stroke();
        }
    }

    private static int number(KeyValue key) {
        return switch (key) {
            case KeyValue.Number n -> number(n.data().data());
            case KeyValue.Qcode q -> NUMBERS.getOrDefault(q.data().data(), 0);
            case KeyValue.Unrecognized u -> 0;
        };
    }

    /** The number if there is such a key. */
    private static int number(long given) {
        return given > 0 && given <= 0xff && NUMBERS.containsValue((int) given) ? (int) given : 0;
    }

    private void add(Stroke stroke, long wait) {
        if (strokes.size() < MOST_WAITING) {
            strokes.add(stroke);
            holds.add(wait);
        }
    }

    /** The next stroke that waits. The timer stays armed after the last one, so that what follows keeps its distance. */
    private void stroke() {
        Stroke stroke = strokes.poll();
        Long wait = holds.poll();
        if (stroke == null || wait == null) {
            return;
        }
        int number = stroke.number;
        usb.keyboard()
                .ifPresentOrElse(
                        k -> {
                            if (number > 0x7f) {
                                k.scanCode(0xe0);
                            }
                            k.scanCode(number & 0x7f | (stroke.down ? 0 : 0x80));
                        },
                        () -> board.part(Controller.class).keyboard().key(number, stroke.down));
        next.arm(board.core().clocks().virtual() + wait);
    }

    /** Moves the mouse right and down, and turns its wheel by one notch: up if positive. */
    void move(int x, int y, int turn) {
        if (vmm.run().running()) {
            send(x, y, Integer.signum(turn));
        }
    }

    /** Holds the buttons: bit 0 left, bit 1 middle, bit 2 right. */
    void hold(int held) {
        if (vmm.run().running()) {
            // Mice have the right one in front of the middle one.
            buttons = held & 1 | (held & 2) << 1 | (held & 4) >> 1;
            send(0, 0, 0);
        }
    }

    private void send(int x, int y, int turn) {
        List<Mouse> mice = inTurn();
        Mouse first = mice.getFirst();
        if (!first.absolute()) {
            send(first, x, y, turn, buttons);
            return;
        }
        // It knows places alone, and nobody has told it another than the corner: movements go to
        // the next that takes them.
        send(first, 0, 0, turn, buttons);
        if (x != 0 || y != 0) {
            mice.stream()
                    .filter(m -> !m.absolute())
                    .findFirst()
                    .ifPresent(m -> send(m, x, y, 0, 0));
        }
    }

    private void send(Mouse to, int x, int y, int turn, int held) {
        if (to.usb == null) {
            board.part(Controller.class).mouse().moved(x, -y, -turn, held);
        } else {
            to.usb.event(x, y, turn, held);
        }
    }

    /** All mice and tablets, the one that takes what the user does first. */
    private List<Mouse> inTurn() {
        List<Mouse> all = new ArrayList<>(List.of(new Mouse(PS2_MOUSE, null)));
        for (UsbBuses.Input i : usb.inputs()) {
            if (i.pointer() != null) {
                all.add(new Mouse(i.index(), i.pointer()));
            }
        }
        all.sort(Comparator.comparing(m -> -chosen.getOrDefault(m.index, 0)));
        return all;
    }

    private void choose(int index) {
        chosen.put(index, ++choices);
    }

    /** What {@code query-mice} tells, in QEMU's order: the current one is the last. */
    List<MouseInfo> mice() {
        List<Mouse> all = inTurn();
        Mouse current = all.getFirst();
        return all.reversed().stream()
                .map(m -> new MouseInfo(m.name(), m.index, m == current, m.absolute()))
                .toList();
    }

    /**
     * Chooses the mouse or tablet that takes what the user does.
     *
     * @throws QmpException there is no device of that number, or it is a keyboard
     */
    void chooseMouse(int index) throws QmpException {
        if (inTurn().stream().anyMatch(m -> m.index == index)) {
            choose(index);
        } else if (index == PS2_KEYBOARD
                || usb.inputs().stream().anyMatch(i -> i.index() == index)) {
            String kind = index == PS2_KEYBOARD ? "PS/2" : "HID";
            throw new QmpException("Input device 'QEMU " + kind + " Keyboard' is not a mouse");
        } else {
            throw new QmpException("Mouse at index '" + index + "' not found");
        }
    }
}
