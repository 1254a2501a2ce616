package lockstep.runtime.testmachine;

import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.EventLoop;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** A character device that keeps what is written to it. */
public final class Paper implements Chardev {
    private final String id;
    private final StringBuilder text = new StringBuilder();
    private boolean taken;

    Paper(String id) {
        this.id = id;
    }

    /** What was written, a character a byte. */
    public String text() {
        return text.toString();
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public String filename() {
        return "paper";
    }

    @Override
    public boolean frontendOpen() {
        return taken;
    }

    @Override
    public boolean movable() {
        return false;
    }

    @Override
    public boolean reconnectable() {
        return false;
    }

    @Override
    public Attachment attach(ChardevFrontend frontend, EventLoop loop) throws ChardevException {
        if (taken) {
            throw new ChardevException("chardev '" + id + "' is already in use");
        }
        taken = true;
        return new Pen();
    }

    @Override
    public void close() {}

    private final class Pen implements Attachment {
        @Override
        public boolean connected() {
            return true;
        }

        @Override
        public void write(ByteBuffer data) {
            text.append(StandardCharsets.ISO_8859_1.decode(data));
        }

        @Override
        public long pending() {
            return 0;
        }

        @Override
        public void acceptInput() {}

        @Override
        public void whenDrained(Runnable task) {
            task.run();
        }

        @Override
        public void close() {
            taken = false;
        }
    }
}
