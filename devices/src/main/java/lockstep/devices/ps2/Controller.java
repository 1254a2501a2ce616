package lockstep.devices.ps2;

import static lockstep.devices.aml.Aml.isaIrq;
import static lockstep.devices.aml.Aml.ports;

import lockstep.api.I8042Options;
import lockstep.devices.board.PcBoard;
import lockstep.devices.isa.IsaBus;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** The controller at ports 0x60 and 0x64. QEMU: vmstate "pckbd" v3. Used under the machine lock. */
public final class Controller implements StateSection, Device {
    private static final int DATA = 0x60;
    private static final int COMMAND = 0x64;
    private static final int KEYBOARD_IRQ = 1;
    private static final int MOUSE_IRQ = 12;

    /** The type. */
    public static final DeviceType<I8042Options> TYPE =
            DeviceType.of(
                            "i8042",
                            I8042Options::read,
                            I8042Options::write,
                            I8042Options.builder()
                                    .extendedState(true)
                                    .kbdIrq(KEYBOARD_IRQ)
                                    .kbdThrottle(false)
                                    .mouseIrq(MOUSE_IRQ)
                                    .build(),
                            IsaBus.HOME,
                            Controller::new)
                    .builtIn("extended-state");

    private static final int STATUS_FULL = 0x01;
    private static final int STATUS_SELF_TEST = 0x04;
    private static final int STATUS_COMMAND = 0x08;
    private static final int STATUS_UNLOCKED = 0x10;
    private static final int STATUS_MOUSE = 0x20;

    private static final int MODE_KEYBOARD_IRQ = 0x01;
    private static final int MODE_MOUSE_IRQ = 0x02;
    private static final int MODE_NO_KEYBOARD = 0x10;
    private static final int MODE_NO_MOUSE = 0x20;
    private static final int MODE_TRANSLATE = 0x40;

    private static final int OUT_RESET = 0x01;
    private static final int OUT_A20 = 0x02;
    private static final int OUT_FULL = 0x10;
    private static final int OUT_MOUSE = 0x20;
    private static final int OUT_ONES = 0xcc;

    private static final int PENDING_CONTROLLER_KEYBOARD = 0x04;
    private static final int PENDING_CONTROLLER_MOUSE = 0x08;
    private static final int PENDING_KEYBOARD = 0x10;
    private static final int PENDING_MOUSE = 0x20;

    private static final int SOURCE_KEYBOARD = 1;
    private static final int SOURCE_MOUSE = 2;
    private static final int SOURCE_CONTROLLER = 4;

    // Wiring.
    private final Irq keyboardIrq;
    private final Irq mouseIrq;
    private final PcBoard board;
    private final boolean extendedState;
    private final Keyboard keyboard = new Keyboard();
    private final Mouse mouse = new Mouse();

    // Guest-visible state.
    private int writeCommand;
    private int status;
    private int mode;
    private int output;
    private int pending;
    private int source;
    private int outputData;
    private int controllerData;

    private Controller(DeviceRequest<I8042Options> request, DeviceScope scope) {
        board = PcBoard.of(scope);
        extendedState = !Boolean.FALSE.equals(request.options().extendedState());
        keyboardIrq = board.isa().irq(KEYBOARD_IRQ);
        mouseIrq = board.isa().irq(MOUSE_IRQ);
        scope.ports("i8042-data", DATA, 1, dataPort());
        scope.ports("i8042-cmd", COMMAND, 1, commandPort());
        keyboard.connect(() -> deviceChanged(PENDING_KEYBOARD, keyboard.hasData()));
        mouse.connect(() -> deviceChanged(PENDING_MOUSE, mouse.hasData()));
        scope.onReset(this::reset);
        scope.section(keyboard);
        scope.section(mouse);
        scope.section(this);
        byte[] terms =
                IsaBus.aml(
                        "KBD",
                        "PNP0303",
                        ports(DATA, DATA, 1, 1),
                        ports(COMMAND, COMMAND, 1, 1),
                        isaIrq(KEYBOARD_IRQ));
        board.acpi().addIsa(terms, scope);
        board.acpi().addIsa(IsaBus.aml("MOU", "PNP0F13", isaIrq(MOUSE_IRQ)), scope);
    }

    /** The keyboard. */
    public Keyboard keyboard() {
        return keyboard;
    }

    /** The mouse. */
    public Mouse mouse() {
        return mouse;
    }

    private void reset() {
        writeCommand = 0;
        mode = MODE_KEYBOARD_IRQ | MODE_MOUSE_IRQ;
        status = STATUS_COMMAND | STATUS_UNLOCKED;
        output = OUT_RESET | OUT_A20 | OUT_ONES;
        pending = 0;
        source = 0;
        outputData = 0;
        controllerData = 0;
        keyboard.reset();
        mouse.reset();
        pending = 0;
        lines();
    }

    private IoHandler dataPort() {
        return new IoHandler() {
            @Override
            public long read(long offset, int size) {
                return readData();
            }

            @Override
            public void write(long offset, int size, long value) {
                writeData((int) value & 0xff);
            }
        };
    }

    private IoHandler commandPort() {
        return new IoHandler() {
            @Override
            public long read(long offset, int size) {
                return status;
            }

            @Override
            public void write(long offset, int size, long value) {
                command((int) value & 0xff);
            }
        };
    }

    private void deviceChanged(int bit, boolean data) {
        pending = data ? pending | bit : pending & ~bit;
        fill();
    }

    /** Moves the most urgent waiting byte into the output buffer if that is empty. */
    private void fill() {
        if ((status & STATUS_FULL) != 0) {
            return;
        }
        int ready = pending & (PENDING_CONTROLLER_KEYBOARD | PENDING_CONTROLLER_MOUSE);
        if ((mode & MODE_NO_KEYBOARD) == 0) {
            ready |= pending & PENDING_KEYBOARD;
        }
        if ((mode & MODE_NO_MOUSE) == 0) {
            ready |= pending & PENDING_MOUSE;
        }
        if (ready == 0) {
            return;
        }
        status |= STATUS_FULL;
        output |= OUT_FULL;
        if ((ready & PENDING_CONTROLLER_KEYBOARD) != 0) {
            source = SOURCE_CONTROLLER;
        } else if ((ready & PENDING_CONTROLLER_MOUSE) != 0) {
            source = SOURCE_CONTROLLER;
            status |= STATUS_MOUSE;
            output |= OUT_MOUSE;
        } else if ((ready & PENDING_KEYBOARD) != 0) {
            source = SOURCE_KEYBOARD;
        } else {
            source = SOURCE_MOUSE;
            status |= STATUS_MOUSE;
            output |= OUT_MOUSE;
        }
        lines();
    }

    private void lines() {
        boolean full = (status & STATUS_FULL) != 0;
        boolean fromMouse = (status & STATUS_MOUSE) != 0;
        mouseIrq.set(full && fromMouse && (mode & MODE_MOUSE_IRQ) != 0);
        keyboardIrq.set(
                full
                        && !fromMouse
                        && (mode & MODE_KEYBOARD_IRQ) != 0
                        && (mode & MODE_NO_KEYBOARD) == 0);
    }

    private int readData() {
        if ((status & STATUS_FULL) != 0) {
            status &= ~(STATUS_FULL | STATUS_MOUSE);
            output &= ~(OUT_FULL | OUT_MOUSE);
            lines();
            // While the device updates its pending bit the buffer must not be refilled halfway.
            int from = source;
            status |= STATUS_FULL;
            outputData =
                    switch (from) {
                        case SOURCE_KEYBOARD -> keyboard.read();
                        case SOURCE_MOUSE -> mouse.read();
                        default -> {
                            pending &= ~(PENDING_CONTROLLER_KEYBOARD | PENDING_CONTROLLER_MOUSE);
                            yield controllerData;
                        }
                    };
            status &= ~STATUS_FULL;
            fill();
        }
        return outputData;
    }

    private void reply(int value, boolean asMouse) {
        controllerData = value;
        pending &= ~(PENDING_CONTROLLER_KEYBOARD | PENDING_CONTROLLER_MOUSE);
        pending |= asMouse ? PENDING_CONTROLLER_MOUSE : PENDING_CONTROLLER_KEYBOARD;
        fill();
    }

    private void command(int value) {
        // The pulse commands drive the low output bits low; only the reset line matters.
        int v = (value & 0xf0) == 0xf0 ? ((value & 1) == 0 ? 0xfe : 0xff) : value;
        switch (v) {
            case 0x20 -> reply(mode, false);
            case 0x60, 0xd1, 0xd2, 0xd3, 0xd4 -> writeCommand = v;
            case 0xa7 -> mode |= MODE_NO_MOUSE;
            case 0xa8 -> {
                mode &= ~MODE_NO_MOUSE;
                fill();
            }
            case 0xa9, 0xab -> reply(0x00, false);
            case 0xaa -> {
                status |= STATUS_SELF_TEST;
                reply(0x55, false);
            }
            case 0xad -> mode |= MODE_NO_KEYBOARD;
            case 0xae -> {
                mode &= ~MODE_NO_KEYBOARD;
                fill();
            }
            case 0xc0 -> reply(0x80, false);
            case 0xd0 -> reply(output, false);
            case 0xdd -> output &= ~OUT_A20;
            case 0xdf -> output |= OUT_A20;
            case 0xfe -> board.requestReset();
            default -> {
                // Unknown commands and the pulse of nothing.
            }
        }
    }

    private void writeData(int value) {
        int command = writeCommand;
        writeCommand = 0;
        switch (command) {
            case 0x60 -> {
                mode = value;
                keyboard.translate((mode & MODE_TRANSLATE) != 0);
                lines();
                fill();
            }
            case 0xd1 -> {
                output = value;
                if ((value & OUT_RESET) == 0) {
                    board.requestReset();
                }
            }
            case 0xd2 -> reply(value, false);
            case 0xd3 -> reply(value, true);
            case 0xd4 -> {
                mode &= ~MODE_NO_MOUSE;
                mouse.write(value);
            }
            default -> {
                mode &= ~MODE_NO_KEYBOARD;
                keyboard.write(value);
            }
        }
    }

    /** The output port as the status register implies it. */
    private int impliedOutput() {
        int implied = OUT_RESET | OUT_A20 | OUT_ONES;
        if ((status & STATUS_FULL) != 0) {
            implied |= (status & STATUS_MOUSE) != 0 ? OUT_FULL | OUT_MOUSE : OUT_FULL;
        }
        return implied;
    }

    @Override
    public String name() {
        return "pckbd";
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.struct("kbd", "pckbd", 3, this::describeController);
    }

    private void describeController(StateCodec c) throws StateException {
        writeCommand = c.u8("write_cmd", writeCommand);
        status = c.u8("status", status);
        mode = c.u8("mode", mode);
        pending = c.u8("pending_tmp", pending);
        boolean known =
                c.subsection(
                        "pckbd_outport",
                        1,
                        output != impliedOutput(),
                        s -> output = s.u8("outport", output));
        if (c.loading() && !known) {
            output = impliedOutput();
        }
        boolean extended =
                c.subsection(
                        "pckbd/extended_state",
                        0,
                        extendedState,
                        s -> {
                            s.u32("migration_flags", 0);
                            source = s.u32("obsrc", source);
                            outputData = s.u8("obdata", outputData);
                            controllerData = s.u8("cbdata", controllerData);
                        });
        if (c.loading() && !extended) {
            source =
                    (status & STATUS_FULL) == 0
                            ? 0
                            : (status & STATUS_MOUSE) != 0 ? SOURCE_MOUSE : SOURCE_KEYBOARD;
            // Older senders use the bits 1 and 2 for keyboard and mouse.
            pending =
                    ((pending & 1) != 0 ? PENDING_KEYBOARD : 0)
                            | ((pending & 2) != 0 ? PENDING_MOUSE : 0);
        }
    }

    @Override
    public void afterLoad(int version) {
        lines();
    }
}
