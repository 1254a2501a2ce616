package lockstep.devices.usb;

import static lockstep.devices.usb.UsbSpec.*;

import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import org.jspecify.annotations.Nullable;

/**
 * Registers and schedule of a universal host controller with two ports (UHCI 1.1). Devices answer at once, so a
 * transfer descriptor is over within its frame. Knows no bus: what it needs is {@link Board}. Called under
 * the machine lock.
 */
final class UhciChip {
    static final int PORTS = 2;

    /** A frame, in nanoseconds of guest time. */
    static final long FRAME = 1_000_000;

    /** Bytes that fit into a frame at full speed. */
    private static final int FRAME_BYTES = 1280;

    /** Links followed in one frame; a schedule that goes in circles ends here at the latest. */
    private static final int MAX_LINKS = 256;

    /** Queue heads remembered to notice circles. */
    private static final int MAX_QUEUES = 128;

    /** Frames made up for after the host was busy; the rest is skipped. */
    private static final int MAX_LATE = 10;

    /** What is around the chip. */
    interface Board {
        /** The interrupt pin. */
        void interrupt(boolean level);

        /** Guest time in nanoseconds. */
        long now();

        /** Has {@link #frame} called at that guest time; -1 cancels. */
        void nextFrame(long deadline);
    }

    // Wiring.
    private final Board board;
    private final GuestMemory memory;
    private final @Nullable UsbDevice[] devices = new UsbDevice[PORTS];

    // Guest-visible state.
    private final int[] ports = new int[PORTS];
    private int command;
    private int status;
    private int interruptEnable;
    private int frameNumber;
    private int frameList;
    private int sofTiming;

    /** Why the status says "interrupt": bit 0 completion, bit 1 short packet. Not visible, but decisive. */
    private int status2;

    private long frameDeadline = -1;
    private long expireTime;
    private int pendingInterrupts;

    // Within one frame.
    private final int[] seen = new int[MAX_QUEUES];
    private final byte[] buffer = new byte[2048];
    private int frameBytes;
    private int actualLength;

    UhciChip(Board board, GuestMemory memory) {
        this.board = board;
        this.memory = memory;
        reset();
    }

    /** Puts a device on port {@code index}. */
    void attach(int index, UsbDevice device) {
        devices[index] = device;
        device.connect(() -> wake(index));
        device.state = STATE_ATTACHED;
        connect(index);
    }

    /** Takes the device off port {@code index}. */
    void detach(int index) {
        devices[index] = null;
        if ((ports[index] & PORT_CONNECTED) != 0) {
            ports[index] &= ~PORT_CONNECTED;
            ports[index] |= PORT_CONNECT_CHANGE;
        }
        if ((ports[index] & PORT_ENABLED) != 0) {
            ports[index] &= ~PORT_ENABLED;
            ports[index] |= PORT_ENABLE_CHANGE;
        }
        resume();
    }

    private void connect(int index) {
        ports[index] |= PORT_CONNECTED | PORT_CONNECT_CHANGE;
        ports[index] &= ~PORT_LOW_SPEED;
        resume();
    }

    /** The state after power-on or a host controller reset. */
    void reset() {
        command = 0;
        status = STS_HALTED;
        status2 = 0;
        interruptEnable = 0;
        frameNumber = 0;
        frameList = 0;
        sofTiming = 64;
        pendingInterrupts = 0;
        expireTime = 0;
        frameDeadline = -1;
        board.nextFrame(-1);
        for (int i = 0; i < PORTS; i++) {
            ports[i] = PORT_ALWAYS;
            UsbDevice d = devices[i];
            if (d != null) {
                d.reset();
                connect(i);
            }
        }
        updateInterrupt();
    }

    // ---- Registers --------------------------------------------------------------------------

    /** Reads two bytes at an even offset. */
    int read(int offset) {
        return switch (offset) {
            case USBCMD -> command;
            case USBSTS -> status;
            case USBINTR -> interruptEnable;
            case FRNUM -> frameNumber;
            case FRBASEADD -> frameList & 0xffff;
            case FRBASEADD + 2 -> frameList >>> 16;
            case SOFMOD -> sofTiming;
            case PORTSC, PORTSC + 2 -> ports[offset - PORTSC >> 1];
            // What software takes for "no further port".
            default -> 0xff7f;
        };
    }

    /** Writes two bytes at an even offset. */
    void write(int offset, int value) {
        switch (offset) {
            case USBCMD -> writeCommand(value);
            case USBSTS -> {
                status &= ~value;
                if ((value & STS_USBINT) != 0) {
                    status2 = 0;
                }
                updateInterrupt();
            }
            case USBINTR -> {
                interruptEnable = value;
                updateInterrupt();
            }
            case FRNUM -> {
                if ((status & STS_HALTED) != 0) {
                    frameNumber = value & 0x7ff;
                }
            }
            case FRBASEADD -> frameList = frameList & 0xffff0000 | value & 0xf000;
            case FRBASEADD + 2 -> frameList = frameList & 0xffff | value << 16;
            case SOFMOD -> sofTiming = value & 0xff;
            case PORTSC, PORTSC + 2 -> writePort(offset - PORTSC >> 1, value);
            default -> {}
        }
    }

    private void writeCommand(int value) {
        if ((value & CMD_RUN) != 0 && (command & CMD_RUN) == 0) {
            expireTime = board.now() + FRAME;
            arm(expireTime);
            status &= ~STS_HALTED;
        } else if ((value & CMD_RUN) == 0) {
            status |= STS_HALTED;
        }
        if ((value & (CMD_GRESET | CMD_HCRESET)) != 0) {
            reset();
            if ((value & CMD_GRESET) != 0) {
                command = CMD_GRESET;
            }
            return;
        }
        command = value & 0xff;
        if ((value & CMD_EGSM) != 0) {
            for (int port : ports) {
                if ((port & PORT_RESUME) != 0) {
                    resume();
                    break;
                }
            }
        }
    }

    private void writePort(int index, int value) {
        UsbDevice d = devices[index];
        if (d != null && (value & PORT_RESET) != 0 && (ports[index] & PORT_RESET) == 0) {
            d.reset();
        }
        int wanted = value & ~PORT_READ_ONLY;
        if ((ports[index] & PORT_CONNECTED) == 0) {
            wanted &= ~PORT_ENABLED;
        }
        ports[index] = ports[index] & PORT_READ_ONLY | wanted;
        ports[index] &= ~(value & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
    }

    private void updateInterrupt() {
        boolean level =
                (status2 & 1) != 0 && (interruptEnable & INTR_COMPLETE) != 0
                        || (status2 & 2) != 0 && (interruptEnable & INTR_SHORT) != 0
                        || (status & STS_ERROR) != 0 && (interruptEnable & INTR_TIMEOUT) != 0
                        || (status & STS_RESUME) != 0 && (interruptEnable & INTR_RESUME) != 0
                        || (status & (STS_HOST_ERROR | STS_PROCESS_ERROR)) != 0;
        board.interrupt(level);
    }

    /** A device signals resume on its port. */
    private void wake(int index) {
        if ((ports[index] & PORT_SUSPEND) != 0 && (ports[index] & PORT_RESUME) == 0) {
            ports[index] |= PORT_RESUME;
            resume();
        }
    }

    private void resume() {
        if ((command & CMD_EGSM) != 0) {
            command |= CMD_FGR;
            status |= STS_RESUME;
            updateInterrupt();
        }
    }

    private void arm(long deadline) {
        frameDeadline = deadline;
        board.nextFrame(deadline);
    }

    // ---- Schedule ---------------------------------------------------------------------------

    /** A frame is over. */
    void frame() {
        frameDeadline = -1;
        if ((command & CMD_RUN) == 0) {
            status |= STS_HALTED;
            return;
        }
        if (pendingInterrupts != 0) {
            status2 |= pendingInterrupts;
            status |= STS_USBINT;
            pendingInterrupts = 0;
            updateInterrupt();
        }
        long now = board.now();
        long due = Math.max(1, (now - expireTime) / FRAME + 1);
        if (due > MAX_LATE) {
            long skipped = due - MAX_LATE;
            expireTime += skipped * FRAME;
            frameNumber = (int) (frameNumber + skipped) & 0x7ff;
            due = MAX_LATE;
        }
        for (long i = 0; i < due && (command & CMD_RUN) != 0; i++) {
            frameBytes = 0;
            process();
            frameNumber = frameNumber + 1 & 0x7ff;
            expireTime += FRAME;
        }
        if ((command & CMD_RUN) != 0) {
            arm(Math.max(expireTime, now + FRAME / 2));
        } else {
            status |= STS_HALTED;
        }
    }

    /** Walks the schedule of the present frame (UHCI 3.4). */
    private void process() {
        int link = memory.readInt(Integer.toUnsignedLong(frameList) + ((frameNumber & 0x3ff) << 2));
        int queue = 0;
        int queueNext = 0;
        int queues = 0;
        int done = 0;
        for (int n = 0; n < MAX_LINKS && (link & LINK_END) == 0; n++) {
            if (frameBytes >= FRAME_BYTES) {
                return;
            }
            long at = Integer.toUnsignedLong(link & ~0xf);
            if ((link & LINK_QUEUE) != 0) {
                if (known(link, queues)) {
                    // Round again only if the round before moved something, and there is time left.
                    if (done == 0 || frameBytes + 384 >= FRAME_BYTES) {
                        return;
                    }
                    done = 0;
                    queues = 0;
                }
                if (queues == MAX_QUEUES) {
                    return;
                }
                seen[queues++] = link;
                int next = memory.readInt(at);
                int element = memory.readInt(at + 4);
                if ((element & LINK_END) != 0) {
                    queue = 0;
                    link = next;
                } else {
                    queue = link;
                    queueNext = next;
                    link = element;
                }
                continue;
            }
            int tdLink = memory.readInt(at);
            int control = memory.readInt(at + 4);
            int token = memory.readInt(at + 8);
            Outcome outcome = transfer(at, control, token);
            switch (outcome) {
                case STOP -> {
                    return;
                }
                case NEXT_QUEUE -> {
                    link = queue != 0 ? queueNext : tdLink;
                    queue = 0;
                }
                case COMPLETE -> {
                    link = tdLink;
                    done++;
                    frameBytes += actualLength;
                    if (queue != 0) {
                        memory.writeInt(Integer.toUnsignedLong(queue & ~0xf) + 4, link);
                        if ((tdLink & LINK_DEPTH_FIRST) == 0) {
                            link = queueNext;
                            queue = 0;
                        }
                    }
                }
            }
        }
    }

    private boolean known(int link, int queues) {
        for (int i = 0; i < queues; i++) {
            if (seen[i] == link) {
                return true;
            }
        }
        return false;
    }

    private enum Outcome {
        STOP,
        NEXT_QUEUE,
        COMPLETE
    }

    private Outcome transfer(long at, int control, int token) {
        if ((control & TD_ACTIVE) == 0) {
            if ((control & TD_IOC) != 0) {
                // A finished descriptor that asks for an interrupt asks for it in every frame.
                pendingInterrupts |= 1;
            }
            return Outcome.NEXT_QUEUE;
        }
        int pid = token & 0xff;
        int size = (token >>> 21) + 1 & 0x7ff;
        if (pid != PID_IN && pid != PID_OUT && pid != PID_SETUP) {
            // The descriptor is nonsense: the controller stops (UHCI 2.1.2, process error).
            status |= STS_PROCESS_ERROR | STS_HALTED;
            command &= ~CMD_RUN;
            updateInterrupt();
            return Outcome.STOP;
        }
        UsbDevice device = find(token >>> 8 & 0x7f);
        long data = Integer.toUnsignedLong(memory.readInt(at + 12));
        int result;
        if (device == null) {
            result = NO_DEVICE;
        } else {
            if (pid != PID_IN) {
                memory.read(data, buffer, 0, size);
            }
            result = device.transact(pid, token >>> 15 & 0xf, buffer, size);
        }
        if (result < 0) {
            return failed(at, control, result);
        }
        actualLength = result;
        int now = control;
        if ((now & TD_ISOCHRONOUS) != 0) {
            now &= ~TD_ACTIVE;
        }
        now = now & ~(0x7ff | TD_ACTIVE | TD_NAK) | result - 1 & 0x7ff;
        if (pid == PID_IN && result > 0) {
            memory.write(data, buffer, 0, result);
        }
        memory.writeInt(at + 4, now);
        if ((now & TD_IOC) != 0) {
            pendingInterrupts |= 1;
        }
        if (pid == PID_IN && (now & TD_SHORT) != 0 && result < size) {
            pendingInterrupts |= 2;
            return Outcome.NEXT_QUEUE;
        }
        return Outcome.COMPLETE;
    }

    private @Nullable UsbDevice find(int address) {
        for (int i = 0; i < PORTS; i++) {
            UsbDevice d = devices[i];
            if (d != null && d.address == address && (ports[i] & PORT_ENABLED) != 0) {
                return d;
            }
        }
        return null;
    }

    private Outcome failed(long at, int control, int result) {
        if (result == NAK) {
            memory.writeInt(at + 4, control | TD_NAK);
            return Outcome.NEXT_QUEUE;
        }
        int bits =
                switch (result) {
                    case STALL -> TD_STALL;
                    case BABBLE -> TD_BABBLE | TD_STALL;
                    default -> TD_TIMEOUT | TD_STALL;
                };
        int now = control & ~TD_ACTIVE | bits;
        if (result == NO_DEVICE) {
            now &= ~TD_ERROR_COUNT;
        }
        memory.writeInt(at + 4, now);
        status |= STS_ERROR;
        if ((now & TD_IOC) != 0) {
            pendingInterrupts |= 1;
        }
        updateInterrupt();
        return result == BABBLE ? Outcome.STOP : Outcome.NEXT_QUEUE;
    }

    // ---- Section ----------------------------------------------------------------------------

    /** Describes the 39 bytes behind the PCI part. QEMU: vmstate "uhci" v3. */
    void describe(StateCodec c) throws StateException {
        c.equalU8("num_ports_vmstate", PORTS);
        c.structs("ports", "uhci port", 1, PORTS, (s, i) -> ports[i] = s.u16("ctrl", ports[i]));
        command = c.u16("cmd", command);
        status = c.u16("status", status);
        interruptEnable = c.u16("intr", interruptEnable);
        frameNumber = c.u16("frnum", frameNumber);
        frameList = c.u32("fl_base_addr", frameList);
        sofTiming = c.u8("sof_timing", sofTiming);
        status2 = c.u8("status2", status2);
        frameDeadline = c.timer("frame_timer", frameDeadline);
        if (c.version() >= 2) {
            expireTime = c.i64("expire_time", expireTime);
        }
        if (c.version() >= 3) {
            pendingInterrupts = c.u32("pending_int_mask", pendingInterrupts);
        }
        if (c.loading()) {
            frameNumber &= 0x7ff;
            frameList &= ~0xfff;
        }
    }

    /** Goes on with the frame that was loaded. */
    void loaded() {
        board.nextFrame(frameDeadline);
    }
}
