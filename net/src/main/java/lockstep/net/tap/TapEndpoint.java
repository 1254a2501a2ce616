package lockstep.net.tap;

import lockstep.net.NetException;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.TunTap;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.Arrays;

/**
 * Frames to and from a tap interface of the host. Reading pauses while the guest has no room, while
 * the virtual machine is stopped, and while a filter's peer is slow; the kernel then drops what is
 * too much.
 */
public final class TapEndpoint extends Endpoint {
    /** Frames that one readiness event may bring, so that other work on the loop gets its turn. */
    private static final int UP_SECONDS = 30;

    /** Within the time that a step of the process's end may take. */
    private static final int DOWN_SECONDS = 4;

    private static final int BURST = 50;

    private static final int LONGEST = 4096 + 65536;

    /** Bytes of the shortest Ethernet frame without its check sequence (IEEE 802.3). */
    private static final int SHORTEST = 60;

    private final Fd fd;
    private final int headerLength;
    private final String ifname;
    private final String downscript;
    private final byte[] buffer = new byte[LONGEST];
    private final Runnable sent = this::resume;
    private final EventLoop.Watch watch;
    private boolean reading = true;
    private boolean writeBlocked;
    private boolean gone;

    private TapEndpoint(
            Network network,
            EventLoop loop,
            String id,
            Fd fd,
            int headerLength,
            String ifname,
            String downscript,
            String info) {
        super(network, id, "tap");
        this.fd = fd;
        this.headerLength = headerLength;
        this.ifname = ifname;
        this.downscript = downscript;
        info(info);
        this.watch = loop.watch(fd.number(), EventLoop.READ, this::ready);
    }

    /**
     * Makes or takes an interface of the host.
     *
     * @param ifname the interface's name, or null for one that the kernel chooses
     * @param script run now with the interface's name; null for {@code /etc/qemu-ifup}, {@code no}
     *     or empty for none
     * @param downscript run at the end likewise; null for {@code /etc/qemu-ifdown}
     * @param sendBuffer bytes that may wait in the kernel, or null for no limit
     */
    public static TapEndpoint open(
            Network network,
            EventLoop loop,
            String id,
            @Nullable String ifname,
            @Nullable String script,
            @Nullable String downscript,
            @Nullable Long sendBuffer)
            throws NetException {
        String up = script == null ? NetworkScript.DEFAULT_UP : script;
        String down = downscript == null ? NetworkScript.DEFAULT_DOWN : downscript;
        TunTap.Interface tap;
        try {
            tap = TunTap.open(ifname);
        } catch (LinuxException e) {
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
        boolean good = false;
        try {
            limitBuffer(tap.fd(), sendBuffer);
            if (!NetworkScript.none(up)) {
                NetworkScript.run(up, tap.name(), UP_SECONDS);
            }
            TapEndpoint endpoint =
                    new TapEndpoint(
                            network,
                            loop,
                            id,
                            tap.fd(),
                            0,
                            tap.name(),
                            NetworkScript.none(down) ? "" : down,
                            "ifname=%s,script=%s,downscript=%s".formatted(tap.name(), up, down));
            good = true;
            return endpoint;
        } finally {
            if (!good) {
                tap.fd().close();
            }
        }
    }

    /** Uses a tap interface that the caller of this program opened as descriptor {@code number}. */
    public static TapEndpoint inherit(Network network, EventLoop loop, String id, int number)
            throws NetException {
        try {
            if (!FileIo.isOpen(number)) {
                throw new NetException(
                        id
                                + ": Can't use file descriptor "
                                + number
                                + ": "
                                + Errno.text(Errno.EBADF));
            }
            int header = TunTap.headerLength(number);
            FileIo.nonBlocking(number, true);
            return new TapEndpoint(
                    network, loop, id, new Fd(number), header, "", "", "fd=" + number);
        } catch (LinuxException e) {
            throw new NetException(String.valueOf(e.getMessage()), e);
        }
    }

    private static void limitBuffer(Fd fd, @Nullable Long wanted) throws NetException {
        boolean limited = wanted != null && wanted != 0;
        int bytes = Integer.MAX_VALUE;
        if (wanted != null && limited && Long.compareUnsigned(wanted, bytes) < 0) {
            bytes = wanted.intValue();
        }
        int result = TunTap.sendBuffer(fd.number(), bytes);
        if (result < 0 && limited) {
            throw new NetException("TUNSETSNDBUF ioctl failed: " + Errno.text(-result));
        }
    }

    private void ready(int events) {
        if ((events & EventLoop.WRITE) != 0 && writeBlocked) {
            writeBlocked = false;
            interest();
            flushIncoming();
        }
        if ((events & (EventLoop.READ | EventLoop.ERROR)) != 0 && reading) {
            readFrames();
        }
    }

    private void readFrames() {
        for (int i = 0; i < BURST && reading && !closed(); i++) {
            if (congested()) {
                pause();
                if (!congested()) {
                    resume(); // Drained between the question and the pause.
                }
                return;
            }
            int n = FileIo.read(fd.number(), buffer, 0, buffer.length);
            if (n <= 0) {
                if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
                    // The interface was deleted; the loop would report that for ever.
                    reading = false;
                    gone = true;
                    watch.close();
                }
                return;
            }
            int length = n - headerLength;
            if (length <= 0) {
                continue;
            }
            Endpoint peer = peer();
            if (peer != null && peer.nic() && length < SHORTEST) {
                Arrays.fill(buffer, n, headerLength + SHORTEST, (byte) 0);
                length = SHORTEST;
            }
            if (send(buffer, headerLength, length, sent) == 0) {
                pause();
            }
        }
    }

    private void pause() {
        reading = false;
        interest();
    }

    private void resume() {
        if (!reading && !closed()) {
            reading = true;
            interest();
        }
    }

    @Override
    protected void wake() {
        resume();
    }

    private void interest() {
        if (gone || closed()) {
            return;
        }
        watch.interest((reading ? EventLoop.READ : 0) | (writeBlocked ? EventLoop.WRITE : 0));
    }

    @Override
    protected int receive(byte[] frame, int offset, int length) {
        if (writeBlocked) {
            return 0;
        }
        if (gone) {
            return length;
        }
        int n;
        if (headerLength == 0) {
            n = FileIo.write(fd.number(), frame, offset, length);
        } else {
            byte[] whole = new byte[headerLength + length];
            System.arraycopy(frame, offset, whole, headerLength, length);
            n = FileIo.write(fd.number(), whole, 0, whole.length);
        }
        if (n == -Errno.EAGAIN) {
            writeBlocked = true;
            interest();
            return 0;
        }
        return n < 0 ? n : length; // A frame the host does not want is lost, as on a real wire.
    }

    @Override
    protected void cleanup() {
        watch.close();
        fd.close();
        if (!downscript.isEmpty()) {
            try {
                NetworkScript.run(downscript, ifname, DOWN_SECONDS);
            } catch (IOException e) {
                network().warn(String.valueOf(e.getMessage()));
            }
        }
    }
}
