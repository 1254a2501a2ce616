package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/** A filter's hold on one character device, for input or for output of framed packets. */
final class ChardevPort implements AutoCloseable {
    /** How long a peer that takes nothing holds packets back. */
    static final long PATIENCE_MS = 10_000;

    private final Chardev.Attachment attachment;
    private final FrameWriter writer;
    private final Runnable drained;
    private final Consumer<String> warnings;
    private final ChardevLookup chardevs;
    private final String id;
    private @Nullable Timer patience;
    private long taken;
    private boolean waiting;
    private boolean givenUp;
    private boolean closed;

    private ChardevPort(
            ChardevLookup chardevs,
            String id,
            Chardev.Attachment attachment,
            boolean vnetHeader,
            Runnable drained,
            Consumer<String> warnings) {
        this.chardevs = chardevs;
        this.id = id;
        this.warnings = warnings;
        this.attachment = attachment;
        this.writer = new FrameWriter(attachment, vnetHeader);
        this.drained = drained;
    }

    /**
     * Takes a device for output.
     *
     * @param what the first word of the message when there is no such device
     * @param drained told when what made {@link #congested} true is over
     */
    static ChardevPort output(
            ChardevLookup chardevs,
            String what,
            String id,
            boolean vnetHeader,
            Runnable drained,
            Consumer<String> warnings)
            throws NetException {
        return attach(chardevs, what, id, vnetHeader, new OutputFrontend(), drained, warnings);
    }

    /**
     * Takes a device for input of frames, from each peer from the beginning of one. In QEMU the first peer's leaving ends
     * reading for good, though its device takes the next one.
     */
    static ChardevPort input(
            ChardevLookup chardevs, String what, String id, boolean vnetHeader, Input input)
            throws NetException {
        return attach(chardevs, what, id, vnetHeader, input, () -> {}, w -> {});
    }

    private static ChardevPort attach(
            ChardevLookup chardevs,
            String what,
            String id,
            boolean vnetHeader,
            ChardevFrontend frontend,
            Runnable drained,
            Consumer<String> warnings)
            throws NetException {
        Chardev device = find(chardevs, what, id);
        try {
            Chardev.Attachment attachment = device.attach(frontend, chardevs.loop());
            return new ChardevPort(chardevs, id, attachment, vnetHeader, drained, warnings);
        } catch (ChardevException e) {
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    static Chardev find(ChardevLookup chardevs, String what, String id) throws NetException {
        Chardev device = chardevs.find(id);
        if (device == null) {
            throw new DeviceNotFoundException(what + " '" + id + "' not found");
        }
        return device;
    }

    boolean vnetHeader() {
        return writer.vnetHeader();
    }

    /** Of the frames that are written from now on. */
    void vnetHeader(boolean value) {
        writer.vnetHeader(value);
    }

    void write(byte[] frame, int offset, int length, int vnetHeaderLength) throws IOException {
        writer.write(frame, offset, length, vnetHeaderLength);
    }

    /**
     * Whether the peer is so slow that whoever sends packets should pause until drained. Not for one that takes
     * nothing at all for {@link #PATIENCE_MS}: a dead one does not hold the guest for ever. The time does not pass while
     * a comparison holds as much as it may, which ends with a checkpoint, or with COLO.
     */
    boolean congested() {
        if (closed || givenUp || !writer.congested()) {
            return false;
        }
        if (!waiting) {
            waiting = true;
            taken = writer.taken();
            Timer t = patience;
            if (t == null) {
                t = chardevs.loop().timer(ClockType.REALTIME, this::patienceOver);
                patience = t;
            }
            arm(t);
            attachment.whenDrained(this::taken);
        }
        return true;
    }

    private void arm(Timer t) {
        long now = chardevs.loop().clocks().now(ClockType.REALTIME);
        t.arm(now + PATIENCE_MS * 1_000_000);
    }

    private void taken() {
        waiting = false;
        givenUp = false;
        if (patience != null) {
            patience.cancel();
        }
        drained.run();
    }

    private void patienceOver() {
        Timer t = patience;
        if (closed || !waiting || t == null) {
            return;
        }
        long now = writer.taken();
        if (now > taken || chardevs.held()) {
            taken = now;
            arm(t);
            return;
        }
        givenUp = true;
        warnings.accept(
                "the peer of chardev '%s' has taken no packet for %d seconds: no longer waiting for it"
                        .formatted(id, PATIENCE_MS / 1000));
        drained.run();
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            if (patience != null) {
                patience.cancel();
            }
            attachment.close();
            drained.run();
        }
    }

    /** Reads each peer's frames until it leaves or sends one that is too long. */
    static final class Input implements ChardevFrontend {
        private final FrameDecoder decoder;
        private final Consumer<String> warnings;
        private boolean ended;

        Input(boolean vnetHeader, FrameDecoder.Sink sink, Consumer<String> warnings) {
            this.decoder = new FrameDecoder(vnetHeader, sink);
            this.warnings = warnings;
        }

        @Override
        public int canReceive() {
            return ended ? 0 : FrameDecoder.MAX_FRAME;
        }

        @Override
        public void receive(ByteBuffer data) {
            if (ended || !decoder.feed(data)) {
                data.position(data.limit());
                if (!ended) {
                    ended = true;
                    warnings.accept(FrameDecoder.OVERSIZED);
                }
            }
        }

        @Override
        public void opened() {
            decoder.reset();
            ended = false;
        }

        @Override
        public void closed() {
            ended = true;
        }
    }
}
