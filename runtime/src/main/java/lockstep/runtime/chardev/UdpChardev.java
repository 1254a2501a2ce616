package lockstep.runtime.chardev;

import static lockstep.linux.abi.LinuxAbi.SOL_SOCKET;
import static lockstep.linux.abi.LinuxAbi.SO_REUSEADDR;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/** Datagrams to and from one remote address; there is no connection to lose. */
final class UdpChardev extends Backend {
    private final Fd socket;
    private final byte[] input = new byte[4096];
    private int inputAt;
    private int inputEnd;
    private volatile EventLoop.@Nullable Watch watch;

    UdpChardev(String id, ChardevConfig.Udp config, ChardevHost host) throws ChardevException {
        super(id, host.mainLoop());
        SocketName remote = SocketNames.resolve(config.remote(), false).getFirst();
        try {
            socket = Sockets.datagram(remote.family());
        } catch (LinuxException e) {
            throw new ChardevException(e.getMessage());
        }
        Address.Inet local = config.local();
        int result = 0;
        if (local != null) {
            Sockets.option(socket.number(), SOL_SOCKET(), SO_REUSEADDR(), 1);
            result = Sockets.bind(socket, SocketNames.resolve(local, true).getFirst());
        }
        if (result == 0) {
            result = Sockets.connect(socket, remote);
        }
        if (result < 0) {
            socket.close();
            throw new ChardevException(
                    "Failed to open datagram socket to "
                            + SocketNames.shown(config.remote())
                            + ": "
                            + Errno.text(-result));
        }
    }

    @Override
    boolean connected() {
        return true;
    }

    @Override
    void serve(EventLoop loop) {
        EventLoop.Watch w = watch;
        if (w != null) {
            w.close();
            watch = null;
        }
        if (frontendOpen() && !socket.isClosed()) {
            watch = loop.watch(socket.number(), EventLoop.READ, events -> readable());
            resumeInput();
        }
    }

    /** The rest of a datagram that was read does not make the socket ready. */
    @Override
    void resumeInput() {
        loop().execute(this::readable);
    }

    private void readable() {
        EventLoop.Watch w = watch;
        while (w != null && !socket.isClosed()) {
            if (inputAt == inputEnd) {
                int n = FileIo.read(socket.number(), input, 0, input.length);
                if (n <= 0) {
                    w.interest(EventLoop.READ);
                    return; // Nothing there, or an ICMP error of an earlier datagram.
                }
                inputAt = 0;
                inputEnd = n;
            }
            int n = Math.min(room(), inputEnd - inputAt);
            if (n <= 0) {
                w.interest(0);
                return;
            }
            deliver(input, inputAt, n);
            inputAt += n;
        }
    }

    @Override
    void send(ByteBuffer data) {
        byte[] copy = new byte[data.remaining()];
        data.get(copy);
        Sockets.send(socket.number(), copy, 0, copy.length);
    }

    @Override
    public boolean movable() {
        return true;
    }

    @Override
    public String type() {
        return "chardev-udp";
    }

    @Override
    public String filename() {
        return "udp";
    }

    @Override
    public void close() {
        EventLoop.Watch w = watch;
        if (w != null) {
            w.close();
            watch = null;
        }
        socket.close();
        super.close();
    }
}
