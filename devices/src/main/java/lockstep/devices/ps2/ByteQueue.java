package lockstep.devices.ps2;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/**
 * What a PS/2 device has to say: a ring of 256 bytes, in which answers to commands overtake events. QEMU:
 * vmstate "PS2 Common State" v3.
 */
final class ByteQueue {
    private static final int RING = 256;

    /** Events beyond this many are dropped, so that a command's answer always finds room. */
    private static final int EVENTS = 16;

    private final byte[] data = new byte[RING];
    private int read;
    private int write;
    private int count;

    /** Where the next byte of an answer goes, or -1 when no answer is waiting. */
    private int answer = -1;

    /** The command byte whose parameter comes next, or -1. */
    int command = -1;

    void clear() {
        read = 0;
        write = 0;
        count = 0;
        answer = -1;
    }

    void reset() {
        clear();
        command = -1;
    }

    boolean isEmpty() {
        return count == 0;
    }

    /** Whether {@code bytes} more bytes of an event fit. */
    boolean fits(int bytes) {
        return count + bytes <= EVENTS;
    }

    void event(int... bytes) {
        if (!fits(bytes.length)) {
            return;
        }
        for (int b : bytes) {
            data[write] = (byte) b;
            write = write + 1 & RING - 1;
            count++;
        }
    }

    /** Puts an answer in front of all events; an answer still waiting is replaced. */
    void answer(int... bytes) {
        while (answer != -1 && read != answer && count > 0) {
            read = read + 1 & RING - 1;
            count--;
        }
        read = read - bytes.length & RING - 1;
        int at = read;
        for (int b : bytes) {
            data[at] = (byte) b;
            at = at + 1 & RING - 1;
            count++;
        }
        answer = at;
    }

    /** The next byte; an empty queue repeats the last one, as the real part does. */
    int next() {
        if (count == 0) {
            return data[read - 1 & RING - 1] & 0xff;
        }
        int value = data[read] & 0xff;
        read = read + 1 & RING - 1;
        count--;
        if (read == answer) {
            answer = -1;
        }
        return value;
    }

    void describe(StateCodec c) throws StateException {
        c.struct(
                "parent_obj",
                "PS2 Common State",
                3,
                s -> {
                    command = s.i32("write_cmd", command);
                    read = s.i32("queue.rptr", read);
                    write = s.i32("queue.wptr", write);
                    count = s.i32("queue.count", count);
                    s.bytes("queue.data", data);
                });
        if (c.loading()) {
            // QEMU's writer may be ahead of a full ring; what makes no sense is an empty queue.
            if (Integer.compareUnsigned(read, RING) >= 0
                    || Integer.compareUnsigned(write, RING) >= 0
                    || Integer.compareUnsigned(count, RING) > 0) {
                clear();
            }
            answer = -1;
        }
    }

    void describeAnswer(StateCodec c, String name) throws StateException {
        c.subsection(
                name,
                0,
                answer != -1,
                s -> {
                    answer = s.i32("ps2.queue.cwptr", answer);
                    if (answer < -1 || answer >= RING) {
                        answer = -1;
                    }
                });
    }
}
