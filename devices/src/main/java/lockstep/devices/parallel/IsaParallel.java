package lockstep.devices.parallel;

import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;

/** A printer port. QEMU: vmstate "parallel_isa" v1. Used under the machine lock. */
public final class IsaParallel implements IoHandler, ChardevFrontend, StateSection {
    /** The first port's address. */
    public static final int BASE = 0x378;

    private static final int IRQ = 7;
    private static final long BACKLOG = 64 << 10;

    private static final int STATUS_READY = 0xd9;
    private static final int STATUS_BUSY = 0x80;
    private static final int STATUS_ACK = 0x40;
    private static final int CONTROL_IDLE = 0xcc;
    private static final int CONTROL_STROBE = 0x01;
    private static final int CONTROL_INIT = 0x04;
    private static final int CONTROL_SELECT = 0x08;
    private static final int CONTROL_INTERRUPT = 0x10;
    private static final int CONTROL_INPUT = 0x20;

    private final Irq irq;
    private final ByteBuffer one = ByteBuffer.allocate(1);
    private Chardev.@Nullable Attachment host;

    private int written = 0xff;
    private int input = 0xff;
    private int status = STATUS_READY;
    private int control = CONTROL_IDLE;
    private boolean pending;
    private int eppTimeout;

    /**
     * The first parallel port.
     *
     * @throws ChardevException when the chardev has a user already
     */
    public IsaParallel(Machine machine, @Nullable Chardev chardev) throws ChardevException {
        irq = machine.gsi(IRQ);
        if (chardev != null) {
            host = chardev.attach(this, machine.vmm().mainLoop());
        }
        machine.ports().mapIo("parallel", BASE, 8, 0, this);
        machine.onReset(this::reset);
        machine.state().register(this);
    }

    private void reset() {
        written = 0xff;
        input = 0xff;
        status = STATUS_READY;
        control = CONTROL_IDLE;
        pending = false;
        eppTimeout = 0;
        irq.set(false);
    }

    @Override
    public int canReceive() {
        return 0;
    }

    @Override
    public void receive(ByteBuffer data) {
        data.position(data.limit());
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        switch ((int) offset) {
            case 0:
                return (control & CONTROL_INPUT) != 0 ? input : written;
            case 1:
                int was = status;
                pending = false;
                if ((status & STATUS_BUSY) == 0 && (control & CONTROL_STROBE) == 0) {
                    // The printer acknowledges with a pulse, then is ready again.
                    if ((status & STATUS_ACK) != 0) {
                        status &= ~STATUS_ACK;
                    } else {
                        status |= STATUS_ACK | STATUS_BUSY;
                    }
                }
                irq.set(pending);
                return was;
            case 2:
                return control;
            default:
                return 0xff;
        }
    }

    @Override
    public void write(long offset, int size, long value) {
        int v = (int) value & 0xff;
        if (offset == 0) {
            written = v;
        } else if (offset == 2) {
            int next = v | 0xc0;
            if ((next & CONTROL_INIT) == 0) {
                status = STATUS_READY;
            } else if ((next & CONTROL_SELECT) != 0) {
                if ((next & CONTROL_STROBE) != 0) {
                    status &= ~STATUS_BUSY;
                    if ((control & CONTROL_STROBE) == 0) {
                        print(written);
                    }
                } else if ((control & CONTROL_INTERRUPT) != 0) {
                    pending = true;
                }
            }
            control = next;
            irq.set(pending);
        }
    }

    private void print(int character) {
        Chardev.Attachment h = host;
        if (h == null || h.pending() >= BACKLOG) {
            return;
        }
        one.clear();
        one.put((byte) character).flip();
        try {
            h.write(one);
        } catch (IOException e) {
            // No printer: the character is lost, as it would be on a cut cable.
            return;
        }
    }

    @Override
    public String name() {
        return "parallel_isa";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        written = c.u8("state.dataw", written);
        input = c.u8("state.datar", input);
        status = c.u8("state.status", status);
        control = c.u8("state.control", control);
        pending = c.i32("state.irq_pending", pending ? 1 : 0) != 0;
        eppTimeout = c.i32("state.epp_timeout", eppTimeout);
    }

    @Override
    public void afterLoad(int version) {
        irq.set(pending);
    }
}
