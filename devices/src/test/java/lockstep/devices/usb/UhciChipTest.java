package lockstep.devices.usb;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.Sections;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;

/** A driver's view of the controller, with a tablet on its first port. */
class UhciChipTest {
    private static final int LIST = 0x1000;
    private static final int QH = 0x3000;
    private static final int TD = 0x4000;
    private static final int DATA = 0x5000;

    @AutoClose private final TestMachine machine = TestMachine.ofRam(1 << 20);
    private final GuestMemory memory = machine.dma();
    private final FakeBoard board = new FakeBoard();
    private final UhciChip chip = new UhciChip(board, memory);
    private final Pointer tablet = new Pointer(true, new HidDevice.Settings(true, true, null));

    private void start() {
        chip.attach(0, tablet);
        chip.write(UsbSpec.PORTSC, UsbSpec.PORT_RESET);
        chip.write(UsbSpec.PORTSC, UsbSpec.PORT_ENABLED | UsbSpec.PORT_CONNECT_CHANGE);
        assertEquals(0x85, chip.read(UsbSpec.PORTSC));
        assertEquals(0x80, chip.read(UsbSpec.PORTSC + 2));
        for (int i = 0; i < 1024; i++) {
            memory.writeInt(LIST + 4 * i, QH | UsbSpec.LINK_QUEUE);
        }
        memory.writeInt(QH, UsbSpec.LINK_END);
        memory.writeInt(QH + 4, UsbSpec.LINK_END);
        chip.write(UsbSpec.FRBASEADD, LIST);
        chip.write(UsbSpec.USBINTR, UsbSpec.INTR_COMPLETE | UsbSpec.INTR_SHORT);
        chip.write(UsbSpec.USBCMD, UsbSpec.CMD_RUN);
    }

    private void descriptor(int n, int pid, int endpoint, int length, int data, boolean last) {
        int at = TD + 32 * n;
        memory.writeInt(at, last ? UsbSpec.LINK_END : at + 32 | UsbSpec.LINK_DEPTH_FIRST);
        memory.writeInt(at + 4, UsbSpec.TD_ACTIVE | (last ? UsbSpec.TD_IOC : 0) | 3 << 27);
        memory.writeInt(
                at + 8, pid | tablet.address << 8 | endpoint << 15 | (length - 1 & 0x7ff) << 21);
        memory.writeInt(at + 12, data);
    }

    /** A control transfer of up to eight bytes at a time; returns what came. */
    private byte[] control(int type, int request, int value, int index, int length) {
        memory.writeInt(DATA, type | request << 8 | value << 16);
        memory.writeInt(DATA + 4, index | length << 16);
        int n = 0;
        descriptor(n++, UsbSpec.PID_SETUP, 0, 8, DATA, false);
        for (int at = 0; at < length; at += 8) {
            descriptor(n++, UsbSpec.PID_IN, 0, Math.min(8, length - at), DATA + 64 + at, false);
        }
        descriptor(n, length > 0 ? UsbSpec.PID_OUT : UsbSpec.PID_IN, 0, 0, 0, true);
        memory.writeInt(QH + 4, TD);
        run(3);
        assertEquals(UsbSpec.LINK_END, memory.readInt(QH + 4));
        assertEquals(UsbSpec.STS_USBINT, chip.read(UsbSpec.USBSTS));
        assertTrue(board.irq);
        chip.write(UsbSpec.USBSTS, UsbSpec.STS_USBINT);
        assertFalse(board.irq);
        byte[] got = new byte[length];
        memory.read(DATA + 64, got, 0, length);
        return got;
    }

    private void run(int frames) {
        for (int i = 0; i < frames; i++) {
            board.now = board.deadline;
            board.deadline = -1;
            chip.frame();
        }
    }

    @Test
    void enumeratesTheTablet() {
        start();
        byte[] device = control(0x80, 6, 0x0100, 0, 18);
        assertEquals(18, device[0]);
        assertEquals(0x27, device[8]);
        control(0, 5, 9, 0, 0);
        assertEquals(9, tablet.address);
        byte[] configuration = control(0x80, 6, 0x0200, 0, 34);
        assertEquals(34, configuration[2]);
        assertEquals((byte) 0x81, configuration[29]);
        byte[] report = control(0x81, 6, 0x2200, 0, configuration[25]);
        assertEquals((byte) 0xc0, report[report.length - 1]);
        byte[] text = control(0x80, 6, 0x0301, 0, 10);
        assertEquals('Q', text[2]);
    }

    @Test
    void pollsEventsAndRefusesWhenThereAreNone() {
        start();
        descriptor(0, UsbSpec.PID_IN, 1, 8, DATA, true);
        memory.writeInt(QH + 4, TD);
        run(1);
        assertTrue((memory.readInt(TD + 4) & UsbSpec.TD_NAK) != 0);
        assertTrue((memory.readInt(TD + 4) & UsbSpec.TD_ACTIVE) != 0);
        tablet.event(0x1234, 0x0102, 1, 1);
        run(1);
        assertEquals(5, memory.readInt(TD + 4) & 0x7ff);
        assertFalse((memory.readInt(TD + 4) & UsbSpec.TD_ACTIVE) != 0);
        assertEquals(0x01, memory.readByte(DATA));
        assertEquals(0x1234, memory.readShort(DATA + 1));
        assertEquals(0x0102, memory.readShort(DATA + 3));
        assertEquals(1, memory.readByte(DATA + 5));
    }

    @Test
    void anUnknownAddressTimesOut() {
        start();
        tablet.address = 5;
        descriptor(0, UsbSpec.PID_IN, 0, 8, DATA, true);
        tablet.address = 6;
        memory.writeInt(QH + 4, TD);
        run(1);
        assertTrue((memory.readInt(TD + 4) & UsbSpec.TD_TIMEOUT) != 0);
        assertEquals(UsbSpec.STS_ERROR, chip.read(UsbSpec.USBSTS));
    }

    @Test
    void schedulesThatGoInCirclesEnd() {
        start();
        memory.writeInt(QH, QH | UsbSpec.LINK_QUEUE);
        run(1);
        memory.writeInt(LIST, TD);
        for (int i = 0; i < 1024; i++) {
            memory.writeInt(LIST + 4 * i, TD);
        }
        memory.writeInt(TD, TD);
        run(2);
        assertEquals(3, chip.read(UsbSpec.FRNUM));
    }

    @Test
    void aStoppedControllerHasNoTimer() {
        start();
        run(1);
        chip.write(UsbSpec.USBCMD, 0);
        run(1);
        assertEquals(-1, board.deadline);
        assertEquals(UsbSpec.STS_HALTED, chip.read(UsbSpec.USBSTS));
    }

    @Test
    void lateFramesAreMadeUpForInBounds() {
        start();
        board.now = 1_000_000L * 3000;
        chip.frame();
        assertEquals(3000 & 0x7ff, chip.read(UsbSpec.FRNUM));
    }

    @Test
    void anythingGoes() {
        start();
        java.util.Random random = new java.util.Random(5);
        for (int i = 0; i < 20_000; i++) {
            int at = 0x1000 + 4 * random.nextInt(0x1800);
            // Mostly links that stay inside, and descriptors for the device that is there.
            memory.writeInt(
                    at,
                    switch (random.nextInt(4)) {
                        case 0 -> random.nextInt();
                        case 1 -> 0x1000 + random.nextInt(0x6000);
                        case 2 -> UsbSpec.TD_ACTIVE | random.nextInt();
                        default -> UsbSpec.PID_IN | random.nextInt(1 << 24) << 8;
                    });
            if (random.nextInt(20) == 0) {
                chip.write(2 * random.nextInt(10), random.nextInt(0x10000) & ~6);
            }
            board.now += 1_000_000;
            if (board.deadline >= 0) {
                board.deadline = -1;
                chip.frame();
            } else {
                chip.write(UsbSpec.USBCMD, UsbSpec.CMD_RUN);
            }
        }
    }

    @Test
    void sectionsHaveTheRightSizes() throws Exception {
        start();
        control(0x80, 6, 0x0100, 0, 18);
        run(2);
        tablet.event(5, 6, 0, 0);
        byte[] controller = Sections.save("uhci", chip::describe);
        // The test's section is of version 1, which ends before the last two fields.
        assertEquals(315 - 276 - 12, controller.length);
        byte[] bytes = Sections.save("usb-ptr", tablet::describe);
        assertEquals(298, bytes.length);
        Pointer copy = new Pointer(true, new HidDevice.Settings(true, true, null));
        Sections.load("usb-ptr", bytes, copy::describe);
        assertArrayEquals(bytes, Sections.save("usb-ptr", copy::describe));
        Keyboard keyboard = new Keyboard(new HidDevice.Settings(true, true, null));
        assertEquals(129, Sections.save("usb-kbd", keyboard::describe).length);
    }

    @Test
    void keysBecomeUsages() {
        Keyboard keyboard = new Keyboard(new HidDevice.Settings(true, true, null));
        byte[] report = new byte[8];
        keyboard.scanCode(0x2a);
        keyboard.scanCode(0x1e);
        keyboard.scanCode(0xe0);
        keyboard.scanCode(0x48);
        assertEquals(8, keyboard.input(1, report, 8));
        assertEquals(2, report[0]);
        keyboard.input(1, report, 8);
        assertEquals(0x04, report[2]);
        keyboard.input(1, report, 8);
        assertEquals(0x52, report[3]);
        keyboard.scanCode(0x9e);
        keyboard.input(1, report, 8);
        assertEquals(0x52, report[2]);
        assertEquals(0, report[3]);
        assertEquals(UsbSpec.NAK, keyboard.input(1, report, 8));
    }

    private static final class FakeBoard implements UhciChip.Board {
        boolean irq;
        long now;
        long deadline = -1;

        @Override
        public void interrupt(boolean level) {
            irq = level;
        }

        @Override
        public long now() {
            return now;
        }

        @Override
        public void nextFrame(long at) {
            deadline = at;
        }
    }
}
