package lockstep.devices.smbus;

import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/**
 * The host controller's sixteen registers (64 bytes of ports). A transaction is carried out when the guest
 * has seen the controller busy once, as firmware waits for that; with interrupts, at once.
 */
public final class SmbusController implements IoHandler {
    /** The name of the bus that the controller has. */
    public static final String BUS = "i2c";

    /** The type of the bus. */
    public static final String BUS_TYPE = "i2c-bus";

    private static final int STATUS = 0x00;
    private static final int CONTROL = 0x02;
    private static final int COMMAND = 0x03;
    private static final int ADDRESS = 0x04;
    private static final int DATA0 = 0x05;
    private static final int DATA1 = 0x06;
    private static final int BLOCK_DATA = 0x07;
    private static final int AUX_CONTROL = 0x0d;

    private static final int STATUS_BUSY = 0x01;
    private static final int STATUS_INTERRUPT = 0x02;
    private static final int STATUS_DEVICE_ERROR = 0x04;
    private static final int STATUS_FAILED = 0x10;
    private static final int CONTROL_START = 0x40;
    private static final int CONTROL_KILL = 0x02;
    private static final int CONTROL_INTERRUPT = 0x01;
    private static final int AUX_BLOCK_BUFFER = 0x02;
    private static final int BLOCK_MAX = 32;

    private final List<SpdEeprom> slaves = new ArrayList<>();

    private int status;
    private int control;
    private int command;
    private int address;
    private int data0;
    private int data1;
    private int index;
    private final int[] block = new int[BLOCK_MAX];
    private int auxControl = AUX_BLOCK_BUFFER;
    private int blockData;
    private boolean i2cEnable;
    private boolean done = true;
    private boolean inBlockRead;
    private boolean startOnStatusRead;

    /** A controller with nothing on its bus. */
    public SmbusController() {}

    /** Puts a device on the bus, until the scope is closed. */
    void attach(SpdEeprom slave, DeviceScope scope) {
        slaves.add(slave);
        scope.onClose(() -> slaves.remove(slave));
    }

    /** System reset. */
    public void reset() {
        status = 0;
        control = 0;
        command = 0;
        address = 0;
        data0 = 0;
        data1 = 0;
        index = 0;
        auxControl = AUX_BLOCK_BUFFER;
        blockData = 0;
        done = true;
        inBlockRead = false;
        startOnStatusRead = false;
        slaves.forEach(SpdEeprom::reset);
    }

    @Override
    public int maxAccess() {
        return 1;
    }

    @Override
    public long read(long offset, int size) {
        switch ((int) offset) {
            case STATUS:
                int seen = status;
                if (startOnStatusRead) {
                    transact();
                }
                return seen;
            case CONTROL:
                // Also the way back to the first byte of the block.
                index = 0;
                return control;
            case COMMAND:
                return command;
            case ADDRESS:
                return address;
            case DATA0:
                return data0;
            case DATA1:
                return data1;
            case BLOCK_DATA:
                int value = block[index & BLOCK_MAX - 1];
                index = index + 1 & BLOCK_MAX - 1;
                return value;
            case AUX_CONTROL:
                return auxControl;
            default:
                return 0;
        }
    }

    @Override
    public void write(long offset, int size, long value) {
        int v = (int) value & 0xff;
        switch ((int) offset) {
            case STATUS -> status &= ~v | STATUS_BUSY;
            case CONTROL -> writeControl(v);
            case COMMAND -> command = v;
            case ADDRESS -> address = v;
            case DATA0 -> data0 = v;
            case DATA1 -> data1 = v;
            case BLOCK_DATA -> {
                block[index & BLOCK_MAX - 1] = v;
                index = index + 1 & BLOCK_MAX - 1;
            }
            case AUX_CONTROL -> auxControl = v & 3;
            default -> {
                // Slave mode registers are not there.
            }
        }
    }

    private @Nullable SpdEeprom slave() {
        for (SpdEeprom s : slaves) {
            if (s.address() == address >> 1) {
                return s;
            }
        }
        return null;
    }

    private void writeControl(int value) {
        control = value & ~CONTROL_START;
        index = 0;
        if ((value & CONTROL_KILL) != 0) {
            startOnStatusRead = false;
            status = status & ~STATUS_BUSY | STATUS_FAILED;
        } else if ((value & CONTROL_START) != 0) {
            if ((value & CONTROL_INTERRUPT) != 0) {
                transact();
            } else {
                startOnStatusRead = true;
                status |= STATUS_BUSY;
            }
        }
    }

    private void transact() {
        startOnStatusRead = false;
        int protocol = control >> 2 & 7;
        SpdEeprom s = slave();
        boolean reading = (address & 1) != 0;
        boolean known = true;
        if (s != null) {
            switch (protocol) {
                case 0 -> {
                    // Quick command: only the address acknowledge counts.
                }
                case 1 -> {
                    if (reading) {
                        data0 = s.next();
                    } else {
                        s.select(command);
                    }
                }
                case 2, 3 -> {
                    s.select(command);
                    if (reading) {
                        data0 = s.next();
                        data1 = protocol == 3 ? s.next() : data1;
                    } else {
                        s.store(data0);
                        if (protocol == 3) {
                            s.store(data1);
                        }
                    }
                }
                case 5 -> {
                    s.select(command);
                    // The count goes first, and to such a device it is a byte like any other.
                    if (reading) {
                        int count = s.next();
                        data0 = count > BLOCK_MAX ? 0 : count;
                        for (int i = 0; i < data0; i++) {
                            block[i] = s.next();
                        }
                    } else {
                        s.store(data0);
                        for (int i = 0; i < Math.min(data0, BLOCK_MAX); i++) {
                            s.store(block[i]);
                        }
                    }
                }
                default -> known = false;
            }
        }
        status = STATUS_INTERRUPT;
        if (s == null || !known) {
            status |= STATUS_DEVICE_ERROR;
        }
    }

    /** The controller's part of the section {@code piix4_pm}. */
    public void describe(StateCodec c) throws StateException {
        status = c.u8("smb_stat", status);
        control = c.u8("smb_ctl", control);
        command = c.u8("smb_cmd", command);
        address = c.u8("smb_addr", address);
        data0 = c.u8("smb_data0", data0);
        data1 = c.u8("smb_data1", data1);
        index = c.u32("smb_index", index) & BLOCK_MAX - 1;
        c.u8s("smb_data", block);
        auxControl = c.u8("smb_auxctl", auxControl);
        blockData = c.u8("smb_blkdata", blockData);
        i2cEnable = c.bool("i2c_enable", i2cEnable);
        done = c.bool("op_done", done);
        inBlockRead = c.bool("in_i2c_block_read", inBlockRead);
        startOnStatusRead = c.bool("start_transaction_on_status_read", startOnStatusRead);
    }

    /** The section {@code i2c_bus}: no device stays selected between accesses. */
    public static StateSection busSection() {
        return new StateSection() {
            @Override
            public String name() {
                return "i2c_bus";
            }

            @Override
            public int version() {
                return 1;
            }

            @Override
            public void describe(StateCodec c) throws StateException {
                c.u8("saved_address", 0xff);
            }
        };
    }
}
