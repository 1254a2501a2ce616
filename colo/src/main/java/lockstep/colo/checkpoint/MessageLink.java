package lockstep.colo.checkpoint;

import lockstep.api.COLOMessage;
import lockstep.runtime.migration.StreamOutput;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;
import lockstep.runtime.vmstate.StateInput;

import java.io.IOException;
import java.util.List;

/**
 * The messages of a COLO session: one 32-bit number each, on the channel of the migration. Used by the
 * session's thread. Errors come with the text for the user.
 */
final class MessageLink {
    private static final TraceEvent SEND = Trace.event("colo_send_message");
    private static final TraceEvent RECEIVE = Trace.event("colo_receive_message");
    private static final List<COLOMessage> ALL = COLOMessage.known();

    /** Beside the number of {@code checkpoint-ready}; only to a peer that has offered it. */
    private static final int TAKES_CHANGES = 1 << 30;

    private final StreamOutput out;
    private final StateInput in;
    private final TimeBudget budget;
    private final String peer;

    /** With the budget for what is waited for, and what the peer is called. */
    MessageLink(StreamOutput out, StateInput in, TimeBudget budget, String peer) {
        this.out = out;
        this.in = in;
        this.budget = budget;
        this.peer = peer;
    }

    /** Writes a message without handing it to the channel yet. */
    void write(COLOMessage message) throws IOException {
        write(message, message.ordinal());
    }

    private void write(COLOMessage message, int number) throws IOException {
        try {
            out.u32(number);
        } catch (IOException e) {
            throw new IOException("Can't send COLO message: Input/output error", e);
        }
        SEND.log("Send '" + message.wireName() + "' message");
    }

    /** Writes a message and its value without handing them to the channel yet. */
    void writeValue(COLOMessage message, long value) throws IOException {
        write(message);
        try {
            out.u64(value);
        } catch (IOException e) {
            throw new IOException(
                    "Failed to send value for message:"
                            + message.wireName()
                            + ": Input/output error",
                    e);
        }
    }

    /** Says that COLO may begin, and whether the device state may come as changes, which the peer has offered. */
    void sendReady(boolean changes) throws IOException {
        COLOMessage ready = COLOMessage.CHECKPOINT_READY;
        budget.phase("way to send '%s' to the %s".formatted(ready.wireName(), peer));
        write(ready, ready.ordinal() | (changes ? TAKES_CHANGES : 0));
        flush();
    }

    /** Waits for the word that COLO may begin. Returns whether the device state may go as changes. */
    boolean expectReady() throws IOException {
        budget.phase("'%s' from the %s".formatted(COLOMessage.CHECKPOINT_READY.wireName(), peer));
        int value = number();
        boolean changes = (value & TAKES_CHANGES) != 0;
        expected(COLOMessage.CHECKPOINT_READY, known(value & ~TAKES_CHANGES));
        return changes;
    }

    /** Hands everything written to the channel. */
    void flush() throws IOException {
        try {
            out.flush();
        } catch (IOException e) {
            throw new IOException("Can't send COLO message: Input/output error", e);
        }
    }

    /** Sends a message at once. */
    void send(COLOMessage message) throws IOException {
        budget.phase("way to send '%s' to the %s".formatted(message.wireName(), peer));
        write(message);
        flush();
    }

    /** Waits for the next message, whatever it is, as long as the budget that is running allows. */
    COLOMessage receive() throws IOException {
        return known(number());
    }

    private int number() throws IOException {
        try {
            return in.u32();
        } catch (IOException e) {
            throw new IOException("Can't receive COLO message: Input/output error", e);
        }
    }

    private static COLOMessage known(int value) throws IOException {
        if (Integer.compareUnsigned(value, ALL.size()) >= 0) {
            throw new IOException("colo_receive_message: Invalid message");
        }
        COLOMessage message = ALL.get(value);
        RECEIVE.log("Receive '" + message.wireName() + "' message");
        return message;
    }

    /** Waits for the next message, which must be that one. */
    void expect(COLOMessage expected) throws IOException {
        budget.phase("'%s' from the %s".formatted(expected.wireName(), peer));
        expected(expected, receive());
    }

    private static void expected(COLOMessage expected, COLOMessage message) throws IOException {
        if (message != expected) {
            throw new IOException(
                    "Unexpected COLO message "
                            + message.ordinal()
                            + ", expected "
                            + expected.ordinal());
        }
    }

    /** Waits for a message with a value. */
    long expectValue(COLOMessage expected) throws IOException {
        expect(expected);
        try {
            return in.u64();
        } catch (IOException e) {
            throw new IOException(
                    "Failed to get value for COLO message: "
                            + expected.wireName()
                            + ": Input/output error",
                    e);
        }
    }
}
