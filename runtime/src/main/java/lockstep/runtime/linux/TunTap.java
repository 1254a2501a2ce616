package lockstep.runtime.linux;

import static lockstep.linux.abi.LinuxAbi.IFF_NO_PI;
import static lockstep.linux.abi.LinuxAbi.IFF_TAP;
import static lockstep.linux.abi.LinuxAbi.IFF_VNET_HDR;
import static lockstep.linux.abi.LinuxAbi.O_RDWR;
import static lockstep.linux.abi.LinuxAbi.TUNGETIFF;
import static lockstep.linux.abi.LinuxAbi.TUNGETVNETHDRSZ;
import static lockstep.linux.abi.LinuxAbi.TUNSETIFF;
import static lockstep.linux.abi.LinuxAbi.TUNSETSNDBUF;

import lockstep.linux.abi.ifreq;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * Ethernet interfaces of the host whose other end is this process: one read or write is one frame.
 * Any thread. Layout: linux/if.h {@code struct ifreq}, a name of 16 bytes and then the flags.
 */
public final class TunTap {
    private static final int NAME = 16;

    private TunTap() {}

    /** An interface and the descriptor of its other end, which the holder closes. */
    public record Interface(Fd fd, String name) {}

    /**
     * Makes or takes a tap interface; the descriptor is non-blocking, frames come without any
     * header.
     *
     * @param name the wanted name, which may hold {@code %d}; null lets the kernel choose
     * @throws LinuxException {@code could not open /dev/net/tun: reason}, {@code could not
     *     configure /dev/net/tun (name): reason}
     */
    public static Interface open(@Nullable String name) throws LinuxException {
        int number = FileIo.tryOpen("/dev/net/tun", O_RDWR(), 0);
        Fd fd = new Fd(Errno.check(number, "could not open /dev/net/tun"));
        boolean good = false;
        try {
            MemorySegment request = request();
            byte[] wanted = (name == null ? "tap%d" : name).getBytes(StandardCharsets.UTF_8);
            int length = Math.min(wanted.length, NAME - 1);
            MemorySegment.copy(wanted, 0, request, ValueLayout.JAVA_BYTE, 0, length);
            request.set(ValueLayout.JAVA_SHORT, NAME, (short) (IFF_TAP() | IFF_NO_PI()));
            Errno.check(
                    FileCalls.ioctlPointer(fd.number(), TUNSETIFF(), request),
                    "could not configure /dev/net/tun" + (name == null ? "" : " (" + name + ")"));
            String given = request.getString(0);
            FileIo.nonBlocking(fd.number(), true);
            good = true;
            return new Interface(fd, given);
        } finally {
            if (!good) {
                fd.close();
            }
        }
    }

    /**
     * Bytes of virtio header that the interface of an inherited descriptor puts in front of frames.
     *
     * @throws LinuxException {@code Unable to query TUNGETIFF on FD n: reason}
     */
    public static int headerLength(int fd) throws LinuxException {
        MemorySegment request = request();
        Errno.check(
                FileCalls.ioctlPointer(fd, TUNGETIFF(), request),
                "Unable to query TUNGETIFF on FD " + fd);
        if ((request.get(ValueLayout.JAVA_SHORT, NAME) & IFF_VNET_HDR()) == 0) {
            return 0;
        }
        MemorySegment size = Native.small();
        return FileCalls.ioctlPointer(fd, TUNGETVNETHDRSZ(), size) < 0
                ? 10 // The plain virtio_net_hdr of kernels without the call.
                : size.get(ValueLayout.JAVA_INT, 0);
    }

    /**
     * Limits the bytes that wait in the kernel for the interface's user. 0 or the negated errno.
     */
    public static int sendBuffer(int fd, int bytes) {
        MemorySegment size = Native.small();
        size.set(ValueLayout.JAVA_INT, 0, bytes);
        return FileCalls.ioctlPointer(fd, TUNSETSNDBUF(), size);
    }

    private static MemorySegment request() {
        MemorySegment request = Native.small().asSlice(0, Math.max(64, ifreq.sizeof()));
        request.fill((byte) 0);
        return request;
    }
}
