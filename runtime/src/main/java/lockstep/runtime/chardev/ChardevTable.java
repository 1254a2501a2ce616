package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.O_APPEND;
import static lockstep.linux.abi.LinuxAbi.O_CREAT;
import static lockstep.linux.abi.LinuxAbi.O_NONBLOCK;
import static lockstep.linux.abi.LinuxAbi.O_RDONLY;
import static lockstep.linux.abi.LinuxAbi.O_RDWR;
import static lockstep.linux.abi.LinuxAbi.O_TRUNC;
import static lockstep.linux.abi.LinuxAbi.O_WRONLY;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Terminal;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** All character devices of a process, and the making of them. Used under the machine lock. */
public final class ChardevTable implements Chardevs {
    private static final int STANDARD_INPUT = 0;
    private static final int STANDARD_OUTPUT = 1;
    private static final int FILE_MODE = 0666;

    private final ChardevHost host;
    private final Map<String, Chardev> devices = new LinkedHashMap<>();
    private boolean stdioInUse;

    /** With no device yet. */
    public ChardevTable(ChardevHost host) {
        this.host = host;
    }

    @Override
    public @Nullable Chardev find(String id) {
        return devices.get(id);
    }

    @Override
    public Collection<Chardev> all() {
        return List.copyOf(devices.values());
    }

    /**
     * Makes a device. A socket that waits for its first peer blocks here.
     *
     * @param notice hears what the user should know at the start: what is waited for, the name of a pty
     * @throws ChardevException {@code Chardev with id 'x' already exists}, or why it cannot be made
     */
    public Chardev create(String id, ChardevConfig config, boolean mux, Consumer<String> notice)
            throws ChardevException {
        if (devices.containsKey(id)) {
            throw new ChardevException("Chardev with id '" + id + "' already exists");
        }
        if (mux) {
            Chardev base = create(id + "-base", config, false, notice);
            Chardev shared = new MuxChardev(id, base, host);
            devices.put(id, shared);
            host.added(shared);
            return shared;
        }
        Chardev device = make(id, config, notice);
        devices.put(id, device);
        host.added(device);
        return device;
    }

    private Chardev make(String id, ChardevConfig config, Consumer<String> notice)
            throws ChardevException {
        return switch (config) {
            case ChardevConfig.Socket s -> {
                SocketChardev socket = new SocketChardev(id, s, host);
                try {
                    socket.start(notice);
                } catch (ChardevException e) {
                    socket.close();
                    throw e;
                }
                yield socket;
            }
            case ChardevConfig.Null n -> new NullChardev(id, host);
            case ChardevConfig.Ringbuf r -> new RingbufChardev(id, r.size(), host);
            case ChardevConfig.Pair p -> pair(id, p.peer());
            case ChardevConfig.Udp u -> new UdpChardev(id, u, host);
            case ChardevConfig.Pty p -> {
                PtyChardev pty = new PtyChardev(id, p, host);
                notice.accept("char device redirected to " + pty.path() + " (label " + id + ")");
                yield pty;
            }
            case ChardevConfig.Stdio s -> stdio(id, s);
            case ChardevConfig.File f -> file(id, f);
            case ChardevConfig.Pipe p -> pipe(id, p);
            case ChardevConfig.Host h -> {
                yield overOne(id, "serial", open(h.device(), O_RDWR() | O_NONBLOCK()));
            }
            case ChardevConfig.Mux m -> {
                Chardev base = devices.get(m.base());
                if (base == null) {
                    throw new ChardevException("mux: base chardev " + m.base() + " not found");
                }
                yield new MuxChardev(id, base, host);
            }
            case ChardevConfig.Logged l -> {
                Chardev device = make(id, l.device(), notice);
                if (device instanceof Backend b) {
                    try {
                        b.logTo(l.file(), l.append());
                    } catch (ChardevException e) {
                        device.close();
                        throw e;
                    }
                }
                yield device;
            }
        };
    }

    private Chardev pair(String id, @Nullable String peer) throws ChardevException {
        if (peer == null) {
            return new PairChardev(id, host);
        }
        Chardev first = devices.get(peer);
        if (first == null) {
            throw new ChardevException("pair: chardev '" + peer + "' not found");
        }
        if (first instanceof PairChardev end) {
            return new PairChardev(id, end, host);
        }
        throw new ChardevException("pair: chardev '" + peer + "' is no end of a pair");
    }

    private Chardev stdio(String id, ChardevConfig.Stdio config) throws ChardevException {
        if (host.daemon()) {
            throw new ChardevException("cannot use stdio with -daemonize");
        }
        if (stdioInUse) {
            throw new ChardevException("cannot use stdio by multiple character devices");
        }
        Terminal.Settings before = null;
        if (Terminal.isTerminal(STANDARD_INPUT)) {
            try {
                before = Terminal.settings(STANDARD_INPUT);
                Terminal.raw(STANDARD_INPUT, config.signal());
            } catch (LinuxException e) {
                throw new ChardevException(e.getMessage());
            }
        }
        stdioInUse = true;
        Terminal.Settings settings = before;
        if (settings != null) {
            host.lastly(() -> restoreTerminal(settings));
        }
        return new DescriptorChardev(
                id,
                host,
                "stdio",
                STANDARD_INPUT,
                STANDARD_OUTPUT,
                () -> {
                    stdioInUse = false;
                    if (settings != null) {
                        restoreTerminal(settings);
                    }
                });
    }

    private static void restoreTerminal(Terminal.Settings settings) {
        try {
            Terminal.restore(STANDARD_INPUT, settings);
        } catch (LinuxException e) {
            // The terminal is gone, and its settings with it.
        }
    }

    private Chardev file(String id, ChardevConfig.File config) throws ChardevException {
        int flags = O_WRONLY() | O_CREAT() | (config.append() ? O_APPEND() : O_TRUNC());
        Fd out = open(config.out(), flags);
        String in = config.in();
        if (in == null) {
            return new DescriptorChardev(id, host, "file", -1, out.number(), out::close);
        }
        Fd input;
        try {
            input = open(in, O_RDONLY());
        } catch (ChardevException e) {
            out.close();
            throw e;
        }
        return new DescriptorChardev(
                id,
                host,
                "file",
                input.number(),
                out.number(),
                () -> {
                    input.close();
                    out.close();
                });
    }

    private Chardev pipe(String id, ChardevConfig.Pipe config) throws ChardevException {
        int in = FileIo.tryOpen(config.device() + ".in", O_RDWR(), 0);
        int out = FileIo.tryOpen(config.device() + ".out", O_RDWR(), 0);
        if (in >= 0 && out >= 0) {
            Fd input = new Fd(in);
            Fd output = new Fd(out);
            return new DescriptorChardev(
                    id,
                    host,
                    "pipe",
                    in,
                    out,
                    () -> {
                        input.close();
                        output.close();
                    });
        }
        if (in >= 0) {
            new Fd(in).close();
        }
        if (out >= 0) {
            new Fd(out).close();
        }
        return overOne(id, "pipe", open(config.device(), O_RDWR()));
    }

    /** Over one open file for both directions, which a loop watches one by one and so by two descriptors. */
    private Chardev overOne(String id, String type, Fd input) throws ChardevException {
        Fd output;
        try {
            output = FileIo.duplicate(input.number());
        } catch (LinuxException e) {
            input.close();
            throw new ChardevException(String.valueOf(e.getMessage()));
        }
        return new DescriptorChardev(
                id,
                host,
                type,
                input.number(),
                output.number(),
                () -> {
                    input.close();
                    output.close();
                });
    }

    private static Fd open(String path, int flags) throws ChardevException {
        int fd = FileIo.tryOpen(path, flags, FILE_MODE);
        if (fd < 0) {
            throw new ChardevException("Could not open '" + path + "': " + Errno.text(-fd));
        }
        return new Fd(fd);
    }

    /** Removes a device; {@code Chardev 'x' not found} or {@code Chardev 'x' is busy}. */
    public void remove(String id) throws ChardevException {
        Chardev device = devices.get(id);
        if (device == null) {
            throw new ChardevException("Chardev '" + id + "' not found");
        }
        if (device.frontendOpen()) {
            throw new ChardevException("Chardev '" + id + "' is busy");
        }
        drop(device);
    }

    private void drop(Chardev device) {
        devices.remove(device.id());
        device.close();
        host.removed(device);
    }

    /**
     * Puts another device in place of one that nobody uses.
     *
     * @throws ChardevException why not; then the old device stays
     */
    public Chardev change(String id, ChardevConfig config, Consumer<String> notice)
            throws ChardevException {
        Chardev old = devices.get(id);
        if (old == null) {
            throw new ChardevException("Chardev '" + id + "' does not exist");
        }
        if (old instanceof MuxChardev) {
            throw new ChardevException("For mux or hub device hotswap is not supported yet");
        }
        if (old.frontendOpen()) {
            throw new ChardevException("Chardev user does not support chardev hotswap");
        }
        Chardev device;
        try {
            if (config instanceof ChardevConfig.Mux mux && mux.base().equals(id)) {
                throw new ChardevException("mux: base chardev " + id + " not found");
            }
            device = make(id, config, notice);
        } catch (ChardevException e) {
            throw new ChardevException("Failed to add chardev '" + id + "': " + e.getMessage());
        }
        drop(old);
        devices.put(id, device);
        host.added(device);
        return device;
    }

    /** Closes every device, the newest first: at the end of the process. */
    public void closeAll() {
        List<Chardev> all = new ArrayList<>(devices.values());
        all.reversed().forEach(this::drop);
    }
}
