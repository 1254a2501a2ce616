package lockstep.runtime.chardev;

import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.linux.Sockets;
import lockstep.runtime.loop.EventLoop;

import org.jspecify.annotations.Nullable;

import java.util.function.BooleanSupplier;

/** The listening half of a socket device: one peer at a time, further ones wait in the kernel. Under the device's lock. */
final class SocketListener {
    private static final int BACKLOG = 1;

    private final Fd fd;
    private final Address address;
    private final Runnable ready;
    private EventLoop.@Nullable Watch watch;

    /** Over a socket that listens at {@code address}; {@code ready} is called on the loop when a peer is there. */
    SocketListener(Fd fd, Address address, Runnable ready) {
        this.fd = fd;
        this.address = address;
        this.ready = ready;
    }

    /** Binds and listens. */
    static Fd open(Address address) throws ChardevException {
        return SocketConnector.listen(address, BACKLOG);
    }

    /** Waits for a peer, here and now, until {@code givenUp} says otherwise. Without the lock. */
    Fd await(BooleanSupplier givenUp) throws ChardevException {
        return SocketConnector.accept(fd, givenUp);
    }

    /** Has {@link #ready} called while somebody waits; no effect if that is so already. */
    void watch(EventLoop loop) {
        if (watch == null && !fd.isClosed()) {
            watch = loop.watch(fd.number(), EventLoop.READ, events -> ready.run());
        }
    }

    /** Leaves further peers in the kernel's backlog. */
    void pause() {
        if (watch != null) {
            watch.close();
            watch = null;
        }
    }

    /** Goes on on another loop, if it is not paused. */
    void move(EventLoop loop) {
        if (watch != null) {
            pause();
            watch(loop);
        }
    }

    /** The next peer, or null when it is gone again. */
    @Nullable Fd accept() {
        int accepted = fd.isClosed() ? -1 : Sockets.accept(fd);
        return accepted < 0 ? null : new Fd(accepted);
    }

    /** Stops listening; a unix socket's file goes. */
    void close() {
        pause();
        fd.close();
        if (address instanceof Address.Unix u && !u.isAbstract()) {
            FileIo.unlink(u.path());
        }
    }
}
