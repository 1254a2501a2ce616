package lockstep.net.socket;

import lockstep.net.filter.FrameDecoder;
import lockstep.net.wire.Network;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.SocketCalls;
import lockstep.runtime.linux.SocketName;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** One frame per datagram, to one address: a host, a multicast group or a unix socket. */
final class DatagramEndpoint extends SocketEndpoint {
    private static final int BURST = 50;

    private final Fd fd;
    private final EventLoop.Watch watch;
    private final byte[] input = new byte[FrameDecoder.MAX_FRAME];
    private final Arena arena = Arena.ofShared();
    private final MemorySegment frameOut = arena.allocate(FrameDecoder.MAX_FRAME);
    private final MemorySegment destination = arena.allocate(SocketName.MAXIMUM);
    private final int destinationLength;
    private boolean writeBlocked;
    private boolean gone;

    /** Takes over a socket; {@code to} is null for one that is connected. */
    DatagramEndpoint(
            Network network,
            EventLoop loop,
            String id,
            String type,
            String info,
            Fd fd,
            @Nullable SocketName to) {
        super(network, id, type);
        this.fd = fd;
        info(info);
        destinationLength = to == null ? 0 : to.encode(destination);
        watch = loop.watch(fd.number(), EventLoop.READ, this::ready);
    }

    private void ready(int events) {
        if ((events & EventLoop.WRITE) != 0 && writeBlocked) {
            writeBlocked = false;
            interest();
            flushIncoming();
        }
        if ((events & (EventLoop.READ | EventLoop.ERROR)) == 0) {
            return;
        }
        for (int i = 0; i < BURST && !gone && mayRead(); i++) {
            int n = FileIo.read(fd.number(), input, 0, input.length);
            if (n > 0) {
                incoming(input, n);
            } else if (n == 0 || n == -Errno.ECONNREFUSED) {
                continue; // An empty datagram, or nobody listens at the other end yet.
            } else {
                if (n != -Errno.EAGAIN && n != -Errno.EINTR) {
                    gone = true;
                    watch.close();
                }
                return;
            }
        }
    }

    @Override
    void interest() {
        if (!gone && !closed()) {
            watch.interest((reading() ? EventLoop.READ : 0) | (writeBlocked ? EventLoop.WRITE : 0));
        }
    }

    @Override
    protected int receive(byte[] frame, int offset, int length) {
        if (writeBlocked) {
            return 0;
        }
        if (length > frameOut.byteSize()) {
            return length;
        }
        MemorySegment.copy(frame, offset, frameOut, ValueLayout.JAVA_BYTE, 0, length);
        long n =
                destinationLength == 0
                        ? SocketCalls.send(fd.number(), frameOut, length, 0)
                        : SocketCalls.sendto(
                                fd.number(), frameOut, length, 0, destination, destinationLength);
        if (n == -Errno.EAGAIN) {
            writeBlocked = true;
            interest();
            return 0;
        }
        return length; // A datagram that cannot be sent is lost.
    }

    @Override
    protected void cleanup() {
        watch.close();
        fd.close();
        arena.close();
    }
}
