package lockstep.runtime.monitor;

import lockstep.qmp.TryLater;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** One human monitor: a prompt, an edited line, its answer. On the main loop, under the machine lock. */
final class HmpSession implements ChardevFrontend {
    private static final Set<String> QUIT = Set.of("quit", "q");
    private static final int CHUNK = 256;

    /** Output that nobody has read, from which on lines wait, unless one of them ends the process. */
    private static final long BUSY_OUTPUT = 1 << 20;

    /** How many bytes behind a line that waits are looked at. */
    private static final int AHEAD = 1 << 16;

    private final EventLoop loop;
    private final HmpInterpreter interpreter;
    private final boolean editing;
    private final Chardev.Attachment chardev;
    private final LineEditor editor;
    private final StringBuilder held = new StringBuilder();
    private final StringBuilder plain = new StringBuilder();
    private boolean here = true;
    private boolean open;
    private boolean draining;

    /** A command is being run that tries again later; what was typed meanwhile waits. */
    private boolean busy;

    private ByteBuffer ahead = ByteBuffer.allocate(0);

    /** Among what is ahead is a line that ends the process. */
    private boolean leaving;

    /** With line editing, or for a program that wants plain lines. */
    HmpSession(EventLoop loop, HmpInterpreter interpreter, Chardev device, boolean editing)
            throws ChardevException {
        this.loop = loop;
        this.interpreter = interpreter;
        this.editing = editing;
        this.editor = new LineEditor(this::print, this::entered, this::complete);
        this.chardev = device.attach(this, loop);
    }

    @Override
    public void opened() {
        open = true;
        print("QEMU " + Version.text() + " monitor - type 'help' for more information\n");
        if (here) {
            prompt();
        }
    }

    @Override
    public void closed() {
        open = false;
        held.setLength(0);
        plain.setLength(0);
        ahead = ByteBuffer.allocate(0);
        draining = false;
        leaving = false;
        editor.restart();
    }

    @Override
    public void focused(boolean nowHere) {
        if (here == nowHere) {
            return;
        }
        if (nowHere) {
            here = true;
            String text = held.toString();
            held.setLength(0);
            print(text);
            if (open) {
                prompt();
            }
        } else {
            if (open) {
                print("\n");
            }
            here = false;
        }
    }

    @Override
    public int canReceive() {
        return busy || ahead.remaining() > AHEAD ? 0 : CHUNK;
    }

    /** Whether the next line has to wait: for one before it, or for a reader of what was printed. */
    private boolean mustWait() {
        return busy || draining && !leaving;
    }

    @Override
    public void receive(ByteBuffer data) {
        ByteBuffer all = ByteBuffer.allocate(ahead.remaining() + data.remaining());
        ahead = all.put(ahead).put(data).flip();
        String text = StandardCharsets.ISO_8859_1.decode(ahead.duplicate()).toString();
        leaving = text.lines().anyMatch(line -> QUIT.contains(line.strip()));
        take();
    }

    private void take() {
        while (ahead.hasRemaining() && !mustWait()) {
            int b = ahead.get() & 0xff;
            if (editing) {
                editor.key(b);
            } else if (b == '\n' || b == '\r') {
                String line = plain.toString();
                plain.setLength(0);
                run(line, System.nanoTime());
            } else if (plain.length() < 4096) {
                plain.append((char) b);
            }
        }
    }

    private void prompt() {
        if (editing) {
            editor.restart();
            print(LineEditor.PROMPT);
        }
    }

    private void entered(String line) {
        boolean history = line.strip().replaceAll("\\s+", " ").equals("info history");
        if (history) {
            print(editor.history());
            prompt();
        } else {
            run(line, System.nanoTime());
        }
    }

    private void run(String line, long began) {
        String answer;
        try {
            answer = ScopedValue.where(TryLater.FIRST, began).call(() -> interpreter.run(line));
        } catch (TryLater e) {
            // Also for a user who has left meanwhile: what was begun must not stay halfway.
            busy = true;
            Timer again = loop.timer(ClockType.REALTIME, () -> run(line, began));
            again.arm(loop.clocks().now(ClockType.REALTIME) + TryLater.pauseNanos());
            return;
        }
        print(answer);
        if (editing) {
            promptAfter(line, answer);
        }
        if (busy) {
            busy = false;
            take();
            chardev.acceptInput();
        }
    }

    private void promptAfter(String line, String answer) {
        boolean ending = answer.isEmpty() && QUIT.contains(line.strip());
        if (!ending) {
            prompt();
        }
    }

    private String complete(String before, Consumer<String> listing) {
        boolean info = before.startsWith("info ");
        String prefix = info ? before.substring(5) : before;
        if (prefix.indexOf(' ') >= 0) {
            return "";
        }
        List<String> found = interpreter.completions(prefix, info);
        if (found.isEmpty()) {
            return "";
        }
        if (found.size() == 1) {
            return found.getFirst().substring(prefix.length()) + " ";
        }
        String shared = found.getFirst();
        for (String name : found) {
            while (!name.startsWith(shared)) {
                shared = shared.substring(0, shared.length() - 1);
            }
        }
        if (shared.length() > prefix.length()) {
            return shared.substring(prefix.length());
        }
        StringBuilder text = new StringBuilder();
        int width = Math.clamp(found.stream().mapToInt(String::length).max().orElse(0) + 2, 10, 80);
        int columns = 80 / width;
        for (int i = 0; i < found.size(); i++) {
            text.append(found.get(i))
                    .append(" ".repeat(Math.max(0, width - found.get(i).length())));
            if ((i + 1) % columns == 0 || i + 1 == found.size()) {
                text.append('\n');
            }
        }
        listing.accept(text + LineEditor.PROMPT);
        return "";
    }

    private void print(String text) {
        if (text.isEmpty()) {
            return;
        }
        if (!here) {
            held.append(text);
            return;
        }
        byte[] bytes = text.replace("\n", "\r\n").getBytes(StandardCharsets.UTF_8);
        try {
            chardev.write(ByteBuffer.wrap(bytes));
        } catch (IOException e) {
            return; // Nobody is there to read it.
        }
        if (chardev.pending() > BUSY_OUTPUT && !draining) {
            draining = true;
            chardev.whenDrained(
                    () -> {
                        draining = false;
                        take();
                        chardev.acceptInput();
                    });
        }
    }

    void close() {
        chardev.close();
    }
}
