package lockstep.devices.usb;

import static lockstep.devices.usb.UsbSpec.*;

import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.memory.LittleEndian;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;

/**
 * A device at full speed: the control endpoint with the standard requests (USB 2.0, chapter 9). A subclass adds
 * its descriptors, class requests and further endpoints. Called under the machine lock.
 */
abstract class UsbDevice {
    /** Most bytes of one control transfer's data. */
    static final int MAX_CONTROL = 4096;

    private static final int IDLE = 0;
    private static final int DATA = 2;
    private static final int STATUS = 3;

    /** Wakes the port that the device is on. */
    @FunctionalInterface
    interface Wakeup {
        void wake();
    }

    // Wiring.
    private Wakeup wakeup = () -> {};

    // Guest-visible state.
    int address;
    int state = STATE_ATTACHED;
    int remoteWakeup;
    private int setupState;
    private int setupLength;
    private int setupIndex;
    private final byte[] setup = new byte[8];

    /** Data of the control transfer; not part of the stream. */
    final byte[] data = new byte[MAX_CONTROL];

    private int configuration;

    /** A descriptor that is no string, or null where there is no such. */
    abstract byte @Nullable [] descriptor(int type, int index);

    /** String number {@code index} from 1 on, or null where there is no such. */
    abstract @Nullable String string(int index);

    /**
     * A request that the standard ones do not cover.
     *
     * @return bytes put into {@link #data}, or {@link UsbSpec#STALL}
     */
    abstract int classRequest(int request, int value, int index, int length);

    /** An IN token on an endpoint other than 0: bytes put into {@code into}, or a negative answer. */
    abstract int input(int endpoint, byte[] into, int size);

    /** The part's own state after a bus reset. */
    abstract void resetFunction();

    void connect(Wakeup to) {
        wakeup = to;
    }

    /** The host drives reset on the bus. */
    void reset() {
        remoteWakeup = 0;
        address = 0;
        state = STATE_DEFAULT;
        setupState = IDLE;
        configuration = 0;
        resetFunction();
    }

    /** Something happened that a sleeping host wants to know. */
    void wake() {
        if (remoteWakeup != 0) {
            wakeup.wake();
        }
    }

    /**
     * One transaction.
     *
     * @param buffer the data of SETUP and OUT, room for that of IN
     * @param size bytes of data or room
     * @return bytes moved, or a negative answer
     */
    int transact(int pid, int endpoint, byte[] buffer, int size) {
        if (endpoint != 0) {
            return pid == PID_IN ? input(endpoint, buffer, size) : STALL;
        }
        return switch (pid) {
            case PID_SETUP -> setup(buffer, size);
            case PID_IN -> controlIn(buffer, size);
            default -> controlOut(buffer, size);
        };
    }

    private boolean toHost() {
        return (setup[0] & TO_HOST) != 0;
    }

    private int setup(byte[] buffer, int size) {
        if (size != setup.length) {
            return STALL;
        }
        System.arraycopy(buffer, 0, setup, 0, setup.length);
        setupLength = LittleEndian.get16(setup, 6);
        setupIndex = 0;
        setupState = IDLE;
        if (setupLength > MAX_CONTROL) {
            return STALL;
        }
        if (toHost()) {
            int answered = request();
            if (answered < 0) {
                return answered;
            }
            setupLength = Math.min(setupLength, answered);
            setupState = DATA;
        } else {
            setupState = setupLength == 0 ? STATUS : DATA;
        }
        return setup.length;
    }

    private int controlIn(byte[] buffer, int size) {
        switch (setupState) {
            case STATUS -> {
                if (toHost()) {
                    return 0;
                }
                setupState = IDLE;
                int answered = request();
                return answered < 0 ? answered : 0;
            }
            case DATA -> {
                if (!toHost()) {
                    setupState = IDLE;
                    return STALL;
                }
                int length = Math.min(setupLength - setupIndex, size);
                System.arraycopy(data, setupIndex, buffer, 0, length);
                setupIndex += length;
                if (setupIndex >= setupLength) {
                    setupState = STATUS;
                }
                return length;
            }
            default -> {
                return STALL;
            }
        }
    }

    private int controlOut(byte[] buffer, int size) {
        switch (setupState) {
            case STATUS -> {
                if (toHost()) {
                    setupState = IDLE;
                }
                return size;
            }
            case DATA -> {
                if (toHost()) {
                    setupState = IDLE;
                    return STALL;
                }
                int length = Math.min(setupLength - setupIndex, size);
                System.arraycopy(buffer, 0, data, setupIndex, length);
                setupIndex += length;
                if (setupIndex >= setupLength) {
                    setupState = STATUS;
                }
                return length;
            }
            default -> {
                return STALL;
            }
        }
    }

    private int request() {
        int request = BigEndian.get16(setup, 0);
        int value = LittleEndian.get16(setup, 2);
        int index = LittleEndian.get16(setup, 4);
        int length = LittleEndian.get16(setup, 6);
        switch (request) {
            case DEVICE_SET_ADDRESS -> {
                address = value & 0x7f;
                return 0;
            }
            case DEVICE_GET_DESCRIPTOR -> {
                return describe(value >> 8, value & 0xff);
            }
            case DEVICE_GET_CONFIGURATION -> {
                data[0] = (byte) configuration;
                return 1;
            }
            case DEVICE_SET_CONFIGURATION -> {
                // One that there is not changes nothing.
                configuration = value <= 1 ? value : configuration;
                return 0;
            }
            case DEVICE_GET_STATUS -> {
                // Powered by the bus, and whether it may wake the host.
                data[0] = (byte) (remoteWakeup << 1);
                data[1] = 0;
                return 2;
            }
            case DEVICE_CLEAR_FEATURE, DEVICE_SET_FEATURE -> {
                if (value != FEATURE_REMOTE_WAKEUP) {
                    return STALL;
                }
                remoteWakeup = request == DEVICE_SET_FEATURE ? 1 : 0;
                return 0;
            }
            case INTERFACE_GET_INTERFACE -> {
                data[0] = 0;
                return configuration != 0 && index == 0 ? 1 : STALL;
            }
            case INTERFACE_SET_INTERFACE -> {
                return configuration != 0 && index == 0 && value == 0 ? 0 : STALL;
            }
            default -> {
                return classRequest(request, value, index, length);
            }
        }
    }

    private int describe(int type, int index) {
        if (type != DESCRIPTOR_STRING) {
            byte[] d = descriptor(type, index);
            return d == null ? STALL : answer(d);
        }
        if (index == 0) {
            // The only language: English (United States).
            return answer(new byte[] {4, DESCRIPTOR_STRING, 0x09, 0x04});
        }
        String string = string(index);
        if (string == null) {
            return 0;
        }
        // Bytes, not characters, and of a text that is too long what the length says when it is cut
        // to a byte.
        byte[] text = string.getBytes(StandardCharsets.UTF_8);
        int length = 2 + 2 * text.length & 0xff;
        byte[] d = new byte[Math.max(2, length)];
        d[0] = (byte) length;
        d[1] = DESCRIPTOR_STRING;
        for (int i = 2; i < d.length; i += 2) {
            d[i] = text[i / 2 - 1];
        }
        return answer(d);
    }

    /** Makes {@code bytes} the data of the control transfer. */
    final int answer(byte[] bytes) {
        System.arraycopy(bytes, 0, data, 0, bytes.length);
        return bytes.length;
    }

    /** Describes the 29 bytes. QEMU: vmstate "USBDevice" v1. */
    final void describeDevice(StateCodec c) throws StateException {
        address = c.u8("addr", address);
        state = c.i32("state", state);
        remoteWakeup = c.i32("remote_wakeup", remoteWakeup);
        setupState = c.i32("setup_state", setupState);
        setupLength = c.i32("setup_len", setupLength);
        setupIndex = c.i32("setup_index", setupIndex);
        int[] bytes = new int[setup.length];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = setup[i] & 0xff;
        }
        c.u8s("setup_buf", bytes);
        if (!c.loading()) {
            return;
        }
        for (int i = 0; i < bytes.length; i++) {
            setup[i] = (byte) bytes[i];
        }
        if (setupLength < 0
                || setupLength > MAX_CONTROL
                || setupIndex < 0
                || setupIndex > setupLength) {
            throw c.invalid("USBDevice: the control transfer lies outside its buffer");
        }
        configuration = address != 0 ? 1 : 0;
        remoteWakeup = remoteWakeup != 0 ? 1 : 0;
        if (setupState == DATA && toHost()) {
            // The data is not in the stream; the same question gives it again.
            int length = setupLength;
            if (request() < length) {
                java.util.Arrays.fill(data, 0, length, (byte) 0);
            }
        }
    }
}
