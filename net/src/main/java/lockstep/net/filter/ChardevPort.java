package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/** A filter's hold on one character device, for input or for output of framed packets. */
final class ChardevPort implements AutoCloseable {
    private final Chardev.Attachment attachment;
    private final FrameWriter writer;
    private final Runnable drained;
    private boolean waiting;
    private boolean closed;

    private ChardevPort(Chardev.Attachment attachment, boolean vnetHeader, Runnable drained) {
        this.attachment = attachment;
        this.writer = new FrameWriter(attachment, vnetHeader);
        this.drained = drained;
    }

    /**
     * Takes a device for output.
     *
     * @param what the first word of the message when there is no such device
     * @param drained told when the peer has taken all that made {@link #congested} true
     */
    static ChardevPort output(
            ChardevLookup chardevs, String what, String id, boolean vnetHeader, Runnable drained)
            throws NetException {
        return attach(chardevs, what, id, vnetHeader, new OutputFrontend(), drained);
    }

    /**
     * Takes a device for input of frames; reading ends for good when the peer leaves, as in QEMU.
     */
    static ChardevPort input(
            ChardevLookup chardevs, String what, String id, boolean vnetHeader, Input input)
            throws NetException {
        return attach(chardevs, what, id, vnetHeader, input, () -> {});
    }

    private static ChardevPort attach(
            ChardevLookup chardevs,
            String what,
            String id,
            boolean vnetHeader,
            ChardevFrontend frontend,
            Runnable drained)
            throws NetException {
        Chardev device = find(chardevs, what, id);
        try {
            return new ChardevPort(device.attach(frontend, chardevs.loop()), vnetHeader, drained);
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

    /** Whether the peer is so slow that whoever reads packets should pause until drained. */
    boolean congested() {
        if (closed || !writer.congested()) {
            return false;
        }
        if (!waiting) {
            waiting = true;
            attachment.whenDrained(
                    () -> {
                        waiting = false;
                        drained.run();
                    });
        }
        return true;
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            attachment.close();
            drained.run();
        }
    }

    /** Reads frames until the peer leaves or sends one that is too long. */
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
        public void closed() {
            ended = true;
        }
    }
}
