package lockstep.colo.compare;

import lockstep.net.filter.FrameWriter;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * The way out of a comparison. What is released while nothing may leave is kept, in order; whoever reads packets
 * reads no more meanwhile; what checkpoints release all the same is kept up to {@link FrameWriter#LIMIT}. On the
 * comparison's loop.
 */
final class GatedOutput {
    private record Kept(byte[] frame, int vnetHeader) {}

    private final FrameWriter out;
    private final BooleanSupplier open;
    private final Consumer<String> warnings;
    private final ArrayDeque<Kept> kept = new ArrayDeque<>();
    private long keptBytes;
    private boolean failing;

    /**
     * To a device.
     *
     * @param open whether packets may leave now
     */
    GatedOutput(FrameWriter out, BooleanSupplier open, Consumer<String> warnings) {
        this.out = out;
        this.open = open;
        this.warnings = warnings;
    }

    /** Takes a frame that was released; it goes with the next {@link #send}. The bytes are only valid during the call. */
    void release(byte[] frame, int length, int vnetHeader) {
        if (kept.isEmpty() && open.getAsBoolean()) {
            append(frame, length, vnetHeader);
        } else if (keptBytes > FrameWriter.LIMIT) {
            lost(); // as to a peer that does not read
        } else {
            kept.add(new Kept(Arrays.copyOf(frame, length), vnetHeader));
            keptBytes += length;
        }
    }

    private void append(byte[] frame, int length, int vnetHeader) {
        try {
            out.append(frame, 0, length, vnetHeader);
        } catch (IOException e) {
            lost();
        }
    }

    /** Sends what may leave. */
    void send() {
        while (!kept.isEmpty() && open.getAsBoolean()) {
            Kept first = kept.removeFirst();
            keptBytes -= first.frame.length;
            append(first.frame, first.frame.length, first.vnetHeader);
        }
        try {
            out.send();
            failing = false;
        } catch (IOException e) {
            lost();
        }
    }

    /** Says it once per series of failures. */
    private void lost() {
        if (!failing) {
            failing = true;
            warnings.accept("colo send primary packet failed");
        }
    }

    /** Whether the device takes more. */
    boolean takes() {
        return !out.congested() && kept.isEmpty();
    }

    /** Has a task run once a device that took no more does again. */
    void whenTaken(Runnable task) {
        if (out.congested()) {
            out.attachment().whenDrained(task);
        }
    }

    void close() {
        out.attachment().close();
    }
}
