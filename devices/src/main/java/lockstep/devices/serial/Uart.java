package lockstep.devices.serial;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.util.Arrays;

/** The 16550A's registers. Pure: after each call the owner drives the interrupt from {@link #irq}. */
final class Uart {
    private static final int FIFO = 16;

    private static final int IER_RDI = 0x01;
    private static final int IER_THRI = 0x02;
    private static final int IER_RLSI = 0x04;
    private static final int IER_MSI = 0x08;

    private static final int IIR_NONE = 0x01;
    private static final int IIR_MSI = 0x00;
    private static final int IIR_THRI = 0x02;
    private static final int IIR_RDI = 0x04;
    private static final int IIR_RLSI = 0x06;
    private static final int IIR_TIMEOUT = 0x0c;
    private static final int IIR_ID = 0x0f;
    private static final int IIR_FIFO = 0xc0;

    private static final int FCR_ENABLE = 0x01;
    private static final int FCR_CLEAR_RX = 0x02;
    private static final int FCR_CLEAR_TX = 0x04;

    private static final int LCR_DLAB = 0x80;
    private static final int LCR_BREAK = 0x40;

    private static final int MCR_LOOP = 0x10;
    private static final int MCR_OUT2 = 0x08;

    private static final int LSR_DR = 0x01;
    private static final int LSR_OE = 0x02;
    private static final int LSR_BI = 0x10;
    private static final int LSR_THRE = 0x20;
    private static final int LSR_TEMT = 0x40;
    private static final int LSR_ERRORS = 0x1e;

    private static final int MSR_READY = 0xb0;
    private static final int MSR_DELTA = 0x0f;

    /** Receive FIFO trigger levels by FCR bits 7 and 6. */
    private static final int[] TRIGGER = {1, 4, 8, 14};

    /** Takes what the UART sends. */
    interface Line {
        /** Whether a character can go out now; if not, the owner calls {@link Uart#sent} later. */
        boolean ready();

        /** Sends one character. */
        void send(int character);
    }

    // Wiring.
    private final Line line;
    private final long baudBase;

    // Guest-visible state.
    private int divider;
    private int rbr;
    private int thr;
    private int tsr;
    private int ier;
    private int iir;
    private int lcr;
    private int mcr;
    private int lsr;
    private int msr;
    private int scr;
    private int fcr;
    private boolean thrPending;
    private boolean timeoutPending;
    private boolean sending;
    private final Fifo receive = new Fifo();
    private final Fifo transmit = new Fifo();

    /** A ring of sixteen characters. QEMU: "Fifo8". */
    private static final class Fifo {
        final byte[] data = new byte[FIFO];
        int head;
        int count;

        void clear() {
            Arrays.fill(data, (byte) 0);
            head = 0;
            count = 0;
        }

        void push(int value) {
            data[(head + count++) % FIFO] = (byte) value;
        }

        int pop() {
            int value = data[head] & 0xff;
            head = (head + 1) % FIFO;
            count--;
            return value;
        }

        void describe(StateCodec c, String name) throws StateException {
            c.struct(
                    name,
                    "Fifo8",
                    1,
                    f -> {
                        f.bytes("data", data);
                        head = f.u32("head", head);
                        count = f.u32("num", count);
                        if (f.loading()
                                && (Integer.compareUnsigned(head, FIFO) >= 0
                                        || Integer.compareUnsigned(count, FIFO) > 0)) {
                            throw f.invalid("serial: a FIFO's head or num is out of range");
                        }
                    });
        }
    }

    /** With the speed that the line has at divisor 1; a PC's crystal gives 115200 baud. */
    Uart(Line line, long baudBase) {
        this.line = line;
        this.baudBase = Math.max(baudBase, 1);
        reset();
    }

    void reset() {
        divider = 0x0c;
        rbr = 0;
        thr = 0;
        tsr = 0;
        ier = 0;
        iir = IIR_NONE;
        lcr = 0;
        mcr = MCR_OUT2;
        lsr = LSR_TEMT | LSR_THRE;
        msr = MSR_READY;
        scr = 0;
        fcr = 0;
        thrPending = false;
        timeoutPending = false;
        sending = false;
        receive.clear();
        transmit.clear();
    }

    private boolean fifoOn() {
        return (fcr & FCR_ENABLE) != 0;
    }

    private int trigger() {
        return TRIGGER[fcr >> 6 & 3];
    }

    /** The level of the interrupt output; also brings IIR up to date. */
    boolean irq() {
        int id = IIR_NONE;
        if ((ier & IER_RLSI) != 0 && (lsr & LSR_ERRORS) != 0) {
            id = IIR_RLSI;
        } else if ((ier & IER_RDI) != 0 && timeoutPending) {
            id = IIR_TIMEOUT;
        } else if ((ier & IER_RDI) != 0
                && (lsr & LSR_DR) != 0
                && (!fifoOn() || receive.count >= trigger())) {
            id = IIR_RDI;
        } else if ((ier & IER_THRI) != 0 && thrPending) {
            id = IIR_THRI;
        } else if ((ier & IER_MSI) != 0 && (msr & MSR_DELTA) != 0) {
            id = IIR_MSI;
        }
        iir = id | (fifoOn() ? IIR_FIFO : 0);
        return id != IIR_NONE;
    }

    /** How many characters can come in now. */
    int space() {
        if (fifoOn()) {
            return FIFO - receive.count;
        }
        return (lsr & LSR_DR) == 0 ? 1 : 0;
    }

    /** A character came in. */
    void received(int character) {
        if (fifoOn()) {
            if (receive.count == FIFO) {
                lsr |= LSR_OE;
            } else {
                receive.push(character);
            }
            lsr |= LSR_DR;
        } else {
            if ((lsr & LSR_DR) != 0) {
                lsr |= LSR_OE;
            }
            rbr = character;
            lsr |= LSR_DR;
        }
    }

    /** A break came in. */
    void receivedBreak() {
        rbr = 0;
        received(0);
        lsr |= LSR_BI;
    }

    /** Whether the character timeout should run: characters wait below the trigger level. */
    boolean timeoutWanted() {
        return fifoOn() && receive.count > 0 && !timeoutPending;
    }

    /** No character came or went for the time of four. */
    void timeout() {
        if (receive.count > 0) {
            timeoutPending = true;
        }
    }

    /** Nanoseconds in which four characters pass on the line. */
    long timeoutNanos() {
        int bits = 1 + 5 + (lcr & 3) + ((lcr & 4) != 0 ? 2 : 1) + ((lcr & 8) != 0 ? 1 : 0);
        return 4L * bits * Math.max(divider, 1) * 1_000_000_000L / baudBase;
    }

    long read(int register) {
        switch (register) {
            case 0:
                if ((lcr & LCR_DLAB) != 0) {
                    return divider & 0xff;
                }
                return receiveBuffer();
            case 1:
                return (lcr & LCR_DLAB) != 0 ? divider >> 8 : ier;
            case 2:
                irq();
                int was = iir;
                if ((was & IIR_ID) == IIR_THRI) {
                    thrPending = false;
                }
                return was;
            case 3:
                return lcr;
            case 4:
                return mcr;
            case 5:
                int status = lsr;
                lsr &= ~(LSR_BI | LSR_OE);
                return status;
            case 6:
                if ((mcr & MCR_LOOP) != 0) {
                    // Outputs come back on inputs: OUT2, OUT1 to DCD, RI; RTS to CTS; DTR to DSR.
                    return (mcr & 0x0c) << 4 | (mcr & 0x02) << 3 | (mcr & 0x01) << 5;
                }
                int modem = msr;
                msr &= ~MSR_DELTA;
                return modem;
            default:
                return scr;
        }
    }

    private int receiveBuffer() {
        if (fifoOn()) {
            if (receive.count > 0) {
                rbr = receive.pop();
            }
            if (receive.count == 0) {
                lsr &= ~(LSR_DR | LSR_BI);
            }
            timeoutPending = false;
        } else {
            lsr &= ~(LSR_DR | LSR_BI);
        }
        return rbr;
    }

    void write(int register, int value) {
        switch (register) {
            case 0 -> {
                if ((lcr & LCR_DLAB) != 0) {
                    divider = divider & 0xff00 | value;
                } else {
                    transmit(value);
                }
            }
            case 1 -> {
                if ((lcr & LCR_DLAB) != 0) {
                    divider = divider & 0xff | value << 8;
                } else {
                    int was = ier;
                    ier = value & 0x0f;
                    // Enabling the THR interrupt while THR is empty raises it at once.
                    if ((ier & ~was & IER_THRI) != 0 && (lsr & LSR_THRE) != 0) {
                        thrPending = true;
                    } else if ((ier & IER_THRI) == 0) {
                        thrPending = false;
                    }
                }
            }
            case 2 -> control(value);
            case 3 -> lcr = value;
            case 4 -> mcr = value & 0x1f;
            case 7 -> scr = value;
            default -> {
                // LSR and MSR are read only.
            }
        }
    }

    private void control(int value) {
        int v = value;
        if (((v ^ fcr) & FCR_ENABLE) != 0) {
            v |= FCR_CLEAR_RX | FCR_CLEAR_TX;
        }
        if ((v & FCR_CLEAR_RX) != 0) {
            lsr &= ~(LSR_DR | LSR_BI);
            timeoutPending = false;
            receive.clear();
        }
        if ((v & FCR_CLEAR_TX) != 0) {
            lsr |= LSR_THRE;
            thrPending = true;
            transmit.clear();
        }
        fcr = v & 0xc9;
    }

    private void transmit(int value) {
        thr = value;
        thrPending = false;
        if (fifoOn()) {
            if (transmit.count == FIFO) {
                transmit.pop();
            }
            transmit.push(value);
        }
        lsr &= ~(LSR_THRE | LSR_TEMT);
        if (!sending) {
            drain();
        }
    }

    /** The line takes characters again. */
    void sent() {
        if (sending) {
            sending = false;
            drain();
        }
    }

    /** Whether a character waits for the line. */
    boolean sending() {
        return sending;
    }

    private void drain() {
        while ((lsr & LSR_TEMT) == 0) {
            if ((mcr & MCR_LOOP) == 0 && !line.ready()) {
                sending = true;
                return;
            }
            if (fifoOn() && transmit.count > 0) {
                tsr = transmit.pop();
            } else {
                tsr = thr;
            }
            if ((mcr & MCR_LOOP) != 0) {
                received(tsr);
            } else {
                line.send(tsr);
            }
            if (!fifoOn() || transmit.count == 0) {
                lsr |= LSR_THRE | LSR_TEMT;
                thrPending = true;
            }
        }
    }

    /** Whether the guest holds the line in the break state. */
    boolean breaking() {
        return (lcr & LCR_BREAK) != 0;
    }

    /** The section's fields. QEMU: vmstate "serial" v3. */
    void describe(StateCodec c, long timeoutDeadline, java.util.function.LongConsumer setDeadline)
            throws StateException {
        if (c.loading()) {
            thrPending = false;
            timeoutPending = false;
            sending = false;
            receive.clear();
            transmit.clear();
        } else {
            irq();
        }
        divider = c.u16("divider", divider);
        rbr = c.u8("rbr", rbr);
        ier = c.u8("ier", ier) & 0x0f;
        iir = c.u8("iir", iir);
        lcr = c.u8("lcr", lcr);
        mcr = c.u8("mcr", mcr) & 0x1f;
        lsr = c.u8("lsr", lsr);
        msr = c.u8("msr", msr);
        scr = c.u8("scr", scr);
        if (c.version() >= 3) {
            fcr = c.u8("fcr_vmstate", fcr) & 0xc9;
        }
        boolean implied = (iir & IIR_ID) == IIR_THRI;
        boolean known =
                c.subsection(
                        "serial/thr_ipending",
                        1,
                        (ier & IER_THRI) != 0 && thrPending != implied,
                        s -> thrPending = s.i32("thr_ipending", thrPending ? 1 : 0) != 0);
        if (c.loading() && !known) {
            thrPending = implied;
        }
        c.subsection(
                "serial/tsr",
                1,
                sending,
                s -> {
                    int retry = s.u32("tsr_retry", sending ? 1 : 0);
                    thr = s.u8("thr", thr);
                    tsr = s.u8("tsr", tsr);
                    sending = retry != 0;
                });
        c.subsection(
                "serial/recv_fifo", 1, receive.count != 0, s -> receive.describe(s, "recv_fifo"));
        c.subsection(
                "serial/xmit_fifo", 1, transmit.count != 0, s -> transmit.describe(s, "xmit_fifo"));
        setDeadline.accept(-1);
        c.subsection(
                "serial/fifo_timeout_timer",
                1,
                timeoutDeadline != -1,
                s -> setDeadline.accept(s.timer("fifo_timeout_timer", timeoutDeadline)));
        c.subsection(
                "serial/timeout_ipending",
                1,
                timeoutPending,
                s -> timeoutPending = s.i32("timeout_ipending", timeoutPending ? 1 : 0) != 0);
        c.subsection(
                "serial/poll",
                1,
                false,
                s -> {
                    // Modem lines are not polled here; a sender that does so loses nothing.
                    s.i32("poll_msl", -1);
                    s.timer("modem_status_poll", -1);
                });
        if (c.loading() && sending == ((lsr & LSR_TEMT) != 0)) {
            throw c.invalid(
                    "inconsistent state in serial device (tsr %s, tsr_retry=%d"
                            .formatted(
                                    (lsr & LSR_TEMT) != 0 ? "empty" : "not empty",
                                    sending ? 1 : 0));
        }
    }
}
