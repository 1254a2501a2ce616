package lockstep.runtime.chardev;

import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Lets up to four front ends share one device. All of them may write; input goes to the one that has the
 * focus, which the user moves with Ctrl-A c.
 */
final class MuxChardev implements Chardev, ChardevFrontend {
    private static final int MAXIMUM = 4;
    private static final int BUFFER = 32;
    private static final int ESCAPE = 1;
    private static final String HELP =
            "\n\r"
                    + "C-a h    print this help\n\r"
                    + "C-a x    exit emulator\n\r"
                    + "C-a s    save disk data back to file (if -snapshot)\n\r"
                    + "C-a t    toggle console timestamps\n\r"
                    + "C-a b    send break (magic sysrq)\n\r"
                    + "C-a c    switch between console and monitor\n\r"
                    + "C-a C-a  sends C-a\n\r";

    private final String id;
    private final ChardevHost host;
    private final Attachment base;
    private final List<Channel> channels = new ArrayList<>();
    private int focus = -1;
    private boolean escaped;
    private boolean timestamps;
    private boolean lineStart = true;
    private long firstLine;

    private final class Channel implements Attachment {
        private final ChardevFrontend frontend;
        private final byte[] buffer = new byte[BUFFER];
        private int buffered;
        private boolean told;
        private boolean gone;

        private Channel(ChardevFrontend frontend) {
            this.frontend = frontend;
        }

        @Override
        public boolean connected() {
            return !gone && base.connected();
        }

        @Override
        public void write(ByteBuffer data) throws IOException {
            if (gone) {
                throw new ChardevException("chardev '" + id + "' is no longer held");
            }
            if (timestamps) {
                stamped(data);
            } else {
                base.write(data);
            }
        }

        @Override
        public long pending() {
            return base.pending();
        }

        @Override
        public void acceptInput() {
            host.mainLoop().execute(this::feed);
        }

        private void feed() {
            int n = gone ? 0 : Math.min(buffered, frontend.canReceive());
            if (n > 0) {
                byte[] now = java.util.Arrays.copyOf(buffer, n);
                System.arraycopy(buffer, n, buffer, 0, buffered - n);
                buffered -= n;
                frontend.receive(ByteBuffer.wrap(now));
            }
            if (buffered == 0) {
                base.acceptInput();
            }
        }

        private void take(byte b) {
            if (buffered == 0 && frontend.canReceive() > 0) {
                frontend.receive(ByteBuffer.wrap(new byte[] {b}));
            } else if (buffered < BUFFER) {
                buffer[buffered++] = b;
            }
        }

        private void open() {
            if (!told && !gone && base.connected()) {
                told = true;
                frontend.focused(isFocused(this));
                frontend.opened();
            }
        }

        private void shut() {
            if (told && !gone) {
                told = false;
                frontend.closed();
            }
        }

        @Override
        public void whenDrained(Runnable task) {
            base.whenDrained(task);
        }

        @Override
        public void close() {
            if (!gone) {
                gone = true;
                channels.remove(this);
                focus = channels.isEmpty() ? -1 : Math.min(focus, channels.size() - 1);
            }
        }
    }

    MuxChardev(String id, Chardev below, ChardevHost host) throws ChardevException {
        this.id = id;
        this.host = host;
        this.base = below.attach(this, host.mainLoop());
    }

    private boolean isFocused(Channel c) {
        return focus >= 0 && focus < channels.size() && channels.get(focus) == c;
    }

    private @Nullable Channel focused() {
        return focus >= 0 && focus < channels.size() ? channels.get(focus) : null;
    }

    @Override
    public Attachment attach(ChardevFrontend frontend, EventLoop loop) throws ChardevException {
        if (channels.size() >= MAXIMUM) {
            throw new ChardevException("too many uses of multiplexed chardev '" + id + "'");
        }
        Channel c = new Channel(frontend);
        Channel old = focused();
        channels.add(c);
        focus = channels.size() - 1; // The newest user has the focus, as the last -serial does.
        if (old != null && old.told) {
            old.frontend.focused(false);
        }
        host.mainLoop().execute(c::open);
        return c;
    }

    @Override
    public int canReceive() {
        Channel c = focused();
        return c == null ? BUFFER : BUFFER - c.buffered;
    }

    @Override
    public void receive(ByteBuffer data) {
        while (data.hasRemaining()) {
            byte b = data.get();
            if (escaped) {
                escaped = false;
                command(b);
            } else if (b == ESCAPE) {
                escaped = true;
            } else {
                Channel c = focused();
                if (c != null) {
                    c.take(b);
                }
            }
        }
    }

    private void command(byte b) {
        switch (b) {
            case '?', 'h' -> print(HELP);
            case 'x' -> {
                print("QEMU: Terminated\n\r");
                host.terminate();
            }
            case 's' -> {} // There is no -snapshot file to commit.
            case 'b' -> {
                Channel c = focused();
                if (c != null) {
                    c.frontend.broken();
                }
            }
            case 'c' -> next();
            case 't' -> {
                timestamps = !timestamps;
                firstLine = System.nanoTime();
                lineStart = true;
            }
            default -> {
                if (b == ESCAPE) {
                    Channel c = focused();
                    if (c != null) {
                        c.take(b);
                    }
                }
            }
        }
    }

    private void next() {
        if (channels.size() < 2) {
            return;
        }
        channels.get(focus).frontend.focused(false);
        focus = (focus + 1) % channels.size();
        channels.get(focus).frontend.focused(true);
    }

    private void print(String text) {
        try {
            base.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)));
        } catch (IOException e) {
            // Nobody is there to read it.
        }
    }

    private void stamped(ByteBuffer data) throws IOException {
        while (data.hasRemaining()) {
            if (lineStart) {
                long ms = (System.nanoTime() - firstLine) / 1_000_000;
                long s = ms / 1000;
                print("[%02d:%02d:%02d.%03d] ".formatted(s / 3600, s / 60 % 60, s % 60, ms % 1000));
                lineStart = false;
            }
            byte b = data.get();
            base.write(ByteBuffer.wrap(new byte[] {b}));
            lineStart = b == '\n';
        }
    }

    @Override
    public void opened() {
        List.copyOf(channels).forEach(Channel::open);
    }

    @Override
    public void closed() {
        List.copyOf(channels).forEach(Channel::shut);
    }

    @Override
    public void broken() {
        Channel c = focused();
        if (c != null) {
            c.frontend.broken();
        }
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public String type() {
        return "chardev-mux";
    }

    @Override
    public String filename() {
        return "mux";
    }

    @Override
    public boolean frontendOpen() {
        return !channels.isEmpty();
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
    public void close() {
        base.close();
        host.mainLoop().execute(this::closed);
    }
}
