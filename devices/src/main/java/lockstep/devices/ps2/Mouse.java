package lockstep.devices.ps2;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

/** The mouse: PS/2, IntelliMouse or Explorer, as the driver asks. QEMU: vmstate "ps2mouse" v2. */
public final class Mouse implements StateSection {
    private static final int ACK = 0xfa;

    private static final int SET_SCALE_1 = 0xe6;
    private static final int SET_SCALE_2 = 0xe7;
    private static final int SET_RESOLUTION = 0xe8;
    private static final int GET_STATUS = 0xe9;
    private static final int SET_STREAM = 0xea;
    private static final int POLL = 0xeb;
    private static final int RESET_WRAP = 0xec;
    private static final int SET_WRAP = 0xee;
    private static final int SET_REMOTE = 0xf0;
    private static final int IDENTIFY = 0xf2;
    private static final int SET_SAMPLE = 0xf3;
    private static final int ENABLE = 0xf4;
    private static final int DISABLE = 0xf5;
    private static final int DEFAULTS = 0xf6;
    private static final int RESET = 0xff;

    private static final int STATUS_REMOTE = 0x40;
    private static final int STATUS_ENABLED = 0x20;
    private static final int STATUS_SCALE_2 = 0x10;

    private static final int PS2 = 0;
    private static final int INTELLIMOUSE = 3;
    private static final int EXPLORER = 4;

    private final ByteQueue queue = new ByteQueue();
    private Runnable changed = () -> {};
    private int status;
    private int resolution;
    private int sampleRate;
    private int wrap;
    private int type;
    private int detect;
    private int dx;
    private int dy;
    private int dz;
    private int buttons;

    void connect(Runnable onChange) {
        changed = onChange;
    }

    void reset() {
        queue.reset();
        status = 0;
        resolution = 0;
        sampleRate = 0;
        wrap = 0;
        type = PS2;
        detect = 0;
        dx = 0;
        dy = 0;
        dz = 0;
        buttons = 0;
        changed.run();
    }

    boolean hasData() {
        return !queue.isEmpty();
    }

    int read() {
        int value = queue.next();
        changed.run();
        return value;
    }

    /** The pointer moved by counts, y upwards, or buttons changed (1 left, 2 right, 4 middle). */
    public void moved(int x, int y, int z, int pressed) {
        if ((status & STATUS_ENABLED) == 0) {
            return;
        }
        dx = Math.clamp((long) dx + x, -0x7fff, 0x7fff);
        dy = Math.clamp((long) dy + y, -0x7fff, 0x7fff);
        dz = Math.clamp((long) dz + z, -0x7fff, 0x7fff);
        buttons = pressed;
        if ((status & STATUS_REMOTE) == 0) {
            do {
                if (!queue.fits(4)) {
                    break;
                }
                queue.event(packet());
            } while (dx != 0 || dy != 0 || dz != 0);
            changed.run();
        }
    }

    private int[] packet() {
        int x = Math.clamp(dx, -127, 127);
        int y = Math.clamp(dy, -127, 127);
        int first = 0x08 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0) | buttons & 7;
        dx -= x;
        dy -= y;
        if (type == PS2) {
            dz = 0;
            return new int[] {first, x & 0xff, y & 0xff};
        }
        int limit = type == INTELLIMOUSE ? 127 : 7;
        int z = Math.clamp(dz, -limit, limit);
        dz -= z;
        int fourth = type == INTELLIMOUSE ? z & 0xff : z & 0x0f | (buttons & 0x18) << 1;
        return new int[] {first, x & 0xff, y & 0xff, fourth};
    }

    void write(int value) {
        if (queue.command < 0) {
            command(value);
        } else {
            parameter(value);
        }
        changed.run();
    }

    private void command(int value) {
        if (wrap != 0) {
            if (value == RESET_WRAP) {
                wrap = 0;
                queue.answer(ACK);
                return;
            }
            if (value != RESET) {
                queue.answer(value);
                return;
            }
        }
        switch (value) {
            case SET_SCALE_1 -> {
                status &= ~STATUS_SCALE_2;
                queue.answer(ACK);
            }
            case SET_SCALE_2 -> {
                status |= STATUS_SCALE_2;
                queue.answer(ACK);
            }
            case SET_STREAM -> {
                status &= ~STATUS_REMOTE;
                queue.answer(ACK);
            }
            case SET_WRAP -> {
                wrap = 1;
                queue.answer(ACK);
            }
            case SET_REMOTE -> {
                status |= STATUS_REMOTE;
                queue.answer(ACK);
            }
            case IDENTIFY -> queue.answer(ACK, type);
            case SET_RESOLUTION, SET_SAMPLE -> {
                queue.command = value;
                queue.answer(ACK);
            }
            case GET_STATUS -> queue.answer(ACK, status, resolution, sampleRate);
            case POLL -> {
                int[] p = packet();
                int[] all = new int[p.length + 1];
                all[0] = ACK;
                System.arraycopy(p, 0, all, 1, p.length);
                queue.answer(all);
            }
            case ENABLE -> {
                status |= STATUS_ENABLED;
                queue.answer(ACK);
            }
            case DISABLE -> {
                status &= ~STATUS_ENABLED;
                queue.answer(ACK);
            }
            case DEFAULTS -> {
                defaults();
                queue.answer(ACK);
            }
            case RESET -> {
                defaults();
                type = PS2;
                wrap = 0;
                queue.clear();
                queue.answer(ACK, 0xaa, type);
            }
            default -> {
                // Unknown commands get no answer.
            }
        }
    }

    private void defaults() {
        sampleRate = 100;
        resolution = 2;
        status = 0;
    }

    private void parameter(int value) {
        if (queue.command == SET_SAMPLE) {
            sampleRate = value;
            knock(value);
        } else {
            resolution = value;
        }
        queue.answer(ACK);
        queue.command = -1;
    }

    /** Sample rates 200, 100, 80 ask for a wheel, 200, 200, 80 for five buttons as well. */
    private void knock(int rate) {
        switch (detect) {
            case 1 -> detect = rate == 100 ? 2 : rate == 200 ? 3 : 0;
            case 2 -> {
                if (rate == 80) {
                    type = INTELLIMOUSE;
                }
                detect = 0;
            }
            case 3 -> {
                if (rate == 80) {
                    type = EXPLORER;
                }
                detect = 0;
            }
            default -> detect = rate == 200 ? 1 : 0;
        }
    }

    @Override
    public String name() {
        return "ps2mouse";
    }

    @Override
    public int version() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        queue.describe(c);
        status = c.u8("mouse_status", status);
        resolution = c.u8("mouse_resolution", resolution);
        sampleRate = c.u8("mouse_sample_rate", sampleRate);
        wrap = c.u8("mouse_wrap", wrap);
        type = c.u8("mouse_type", type);
        detect = c.u8("mouse_detect_state", detect);
        dx = c.i32("mouse_dx", dx);
        dy = c.i32("mouse_dy", dy);
        dz = c.i32("mouse_dz", dz);
        buttons = c.u8("mouse_buttons", buttons);
    }
}
