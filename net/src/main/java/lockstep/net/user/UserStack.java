package lockstep.net.user;

import lockstep.net.NetException;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;

import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** One user network: its parts, and what they share. Under the machine lock. */
final class UserStack {
    private final UserConfig config;
    private final EventLoop loop;
    private final BooleanSupplier room;
    private final Timer timer;
    private final Resolver resolver = new Resolver();
    private final Ethernet ethernet;
    private final UdpRelay udp;
    private final TcpRelay tcp;
    private final Icmp icmp;
    private final Dhcp dhcp;

    /**
     * A network without connections.
     *
     * @param output takes frames to the guest
     * @param room whether the guest has room for paced frames
     * @param warnings where messages for the user go
     */
    UserStack(
            UserConfig config,
            EventLoop loop,
            Ethernet.Output output,
            BooleanSupplier room,
            Consumer<String> warnings) {
        this.config = config;
        this.loop = loop;
        this.room = room;
        this.timer = loop.timer(ClockType.VIRTUAL, this::expire);
        this.ethernet = new Ethernet(config, output);
        this.icmp = new Icmp(this, ethernet);
        this.udp = new UdpRelay(this, ethernet, icmp);
        this.tcp = new TcpRelay(this, ethernet, icmp);
        this.dhcp = new Dhcp(config, ethernet, udp, warnings);
        udp.service(Dhcp.SERVER_PORT, (source, port, f, at, length) -> dhcp.input(f, at, length));
        ethernet.protocol(Ip.ICMP, icmp);
        ethernet.protocol(Ip.UDP, udp);
        ethernet.protocol(Ip.TCP, tcp);
    }

    UserConfig config() {
        return config;
    }

    EventLoop loop() {
        return loop;
    }

    Ethernet ethernet() {
        return ethernet;
    }

    Dhcp dhcp() {
        return dhcp;
    }

    TcpRelay tcp() {
        return tcp;
    }

    /** Whether the guest has room for paced frames; {@link #resume} follows when not. */
    boolean room() {
        return room.getAsBoolean();
    }

    /** The guest's time, by which connections age. */
    long now() {
        return loop.clocks().virtual();
    }

    /** Where in the host's world an address of the guest's is: behind the gateway is the host itself. */
    int translate(int destination) {
        if (destination == config.dns()) {
            return resolver.address();
        }
        return config.inside(destination) ? Ip.LOOPBACK : destination;
    }

    /** As whom a peer in the host's world appears to the guest. */
    int appearance(int peer) {
        return peer == 0 || Ip.isLoopback(peer) ? config.host() : peer;
    }

    /** Takes a frame of the guest's. */
    void input(byte[] frame, int offset, int length) {
        ethernet.input(frame, offset, length);
    }

    /** The guest has room again. */
    void resume() {
        udp.resume();
        icmp.resume();
        tcp.resume();
    }

    /** Has {@link #expire} look again at that time at the latest. */
    void wake(long deadline) {
        long armed = timer.deadline();
        if (armed == Timer.NEVER || deadline < armed) {
            timer.arm(deadline);
        }
    }

    private void expire() {
        long now = now();
        long next = Math.min(udp.expire(now), Math.min(icmp.expire(now), tcp.expire(now)));
        if (next != Long.MAX_VALUE) {
            wake(next);
        }
    }

    /** Forwards a port of the host's to the guest. */
    void forward(HostForward rule) throws NetException {
        if (rule.udp()) {
            udp.forward(rule);
        } else {
            tcp.forward(rule);
        }
    }

    /** Ends such a forwarding, of the socket with that name; false when there is none. */
    boolean unforward(boolean udpPort, int host, int port) {
        return udpPort ? udp.unforward(host, port) : tcp.unforward(host, port);
    }

    /** The lines of {@code info usernet}. */
    void describe(ConnectionTable out) {
        tcp.describe(out);
        udp.describe(out);
        icmp.describe(out);
    }

    /** Closes every socket. */
    void close() {
        timer.cancel();
        tcp.close();
        udp.close();
        icmp.close();
    }
}
