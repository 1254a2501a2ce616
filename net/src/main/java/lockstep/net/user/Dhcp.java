package lockstep.net.user;

import lockstep.runtime.memory.BigEndian;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/** The DHCP server (RFC 2131, options of RFC 2132): sixteen addresses, each for the station that had it first. */
final class Dhcp {
    /** How many addresses there are. */
    static final int CLIENTS = 16;

    static final int SERVER_PORT = 67;
    static final int CLIENT_PORT = 68;

    private static final int OPTIONS = 236 + 4;
    private static final int COOKIE = 0x6382_5363;
    // As much as libslirp sends: a header and 312 bytes of options.
    private static final int REPLY = 236 + 312;
    private static final int LEASE_SECONDS = 24 * 60 * 60;
    private static final int LONGEST_LABEL = 63;

    private static final int DISCOVER = 1;
    private static final int OFFER = 2;
    private static final int REQUEST = 3;
    private static final int ACK = 5;
    private static final int NAK = 6;

    private final UserConfig config;
    private final Ethernet ethernet;
    private final UdpRelay udp;
    private final byte[] search;

    /** Whose each address is; null for nobody's. Travels in migration. */
    private final long[] owners = new long[CLIENTS];

    Dhcp(UserConfig config, Ethernet ethernet, UdpRelay udp, Consumer<String> warnings) {
        this.config = config;
        this.ethernet = ethernet;
        this.udp = udp;
        this.search = encode(config.search(), warnings);
        Arrays.fill(owners, -1);
    }

    /** The hardware address that has the lease of that number, or -1. */
    long owner(int index) {
        return owners[index];
    }

    void owner(int index, long hardware) {
        owners[index] = hardware;
    }

    /** Takes what a client sent to the server's port. */
    void input(byte[] f, int at, int length) {
        if (length < OPTIONS
                || f[at] != 1
                || Ip.get8(f, at + 2) != 6
                || BigEndian.get32(f, at + OPTIONS - 4) != COOKIE) {
            return;
        }
        int type = 0;
        int wanted = BigEndian.get32(f, at + 12); // ciaddr, of one that renews
        boolean asked = false;
        int end = at + length;
        for (int p = at + OPTIONS; p < end && Ip.get8(f, p) != 255; ) {
            if (f[p] == 0) {
                p++;
                continue;
            }
            if (p + 2 > end || p + 2 + Ip.get8(f, p + 1) > end) {
                return;
            }
            int size = Ip.get8(f, p + 1);
            if (Ip.get8(f, p) == 53 && size >= 1) {
                type = Ip.get8(f, p + 2);
            } else if (Ip.get8(f, p) == 50 && size >= 4) {
                wanted = BigEndian.get32(f, p + 2);
                asked = true;
            }
            p += 2 + size;
        }
        if (type == 0) {
            type = REQUEST; // A client of BOOTP only.
        }
        if (type != DISCOVER && type != REQUEST) {
            return;
        }
        long hardware =
                (long) BigEndian.get16(f, at + 28) << 32
                        | BigEndian.get32(f, at + 30) & 0xffff_ffffL;
        int index = lease(hardware, wanted, type == REQUEST && asked);
        if (index < 0 && (type != REQUEST || !asked)) {
            return; // No address is left.
        }
        reply(f, at, type, index);
    }

    /** The number of the lease of a station: the one it wants if it may; else, unless it insists, its own or a free one. */
    private int lease(long hardware, int wanted, boolean insists) {
        int index = wanted - config.dhcpStart();
        if (wanted != 0
                && index >= 0
                && index < CLIENTS
                && (owners[index] == hardware || owners[index] < 0)) {
            owners[index] = hardware;
            return index;
        }
        if (insists) {
            return -1;
        }
        int found = -1;
        for (int i = CLIENTS - 1; i >= 0; i--) {
            if (owners[i] == hardware) {
                return i;
            }
            found = owners[i] < 0 ? i : found;
        }
        if (found >= 0) {
            owners[found] = hardware;
        }
        return found;
    }

    private void reply(byte[] request, int at, int type, int index) {
        byte[] r = new byte[REPLY];
        r[0] = 2;
        r[1] = 1;
        r[2] = 6;
        System.arraycopy(request, at + 4, r, 4, 4); // xid
        System.arraycopy(request, at + 28, r, 28, 16);
        BigEndian.put32(r, OPTIONS - 4, COOKIE);
        ByteArrayOutputStream options = new ByteArrayOutputStream();
        if (index < 0) {
            option(options, 53, new byte[] {NAK});
            option(options, 56, ascii("requested address not available"));
        } else {
            int address = config.dhcpStart() + index;
            ethernet.learn(address, request, at + 28);
            BigEndian.put32(r, 16, address);
            BigEndian.put32(r, 20, config.host());
            if (config.bootFile() != null) {
                byte[] name = ascii(config.bootFile());
                System.arraycopy(name, 0, r, 108, Math.min(name.length, 127));
            }
            accept(options, type);
        }
        options.write(255);
        System.arraycopy(options.toByteArray(), 0, r, OPTIONS, options.size());
        System.arraycopy(r, 0, ethernet.packet, Ethernet.PAYLOAD + UdpRelay.HEADER, REPLY);
        udp.send(config.host(), SERVER_PORT, Ip.BROADCAST, CLIENT_PORT, REPLY);
    }

    private void accept(ByteArrayOutputStream options, int type) {
        option(options, 53, new byte[] {(byte) (type == DISCOVER ? OFFER : ACK)});
        number(options, 54, config.host());
        number(options, 1, config.mask());
        if (!config.restricted()) {
            number(options, 3, config.host());
            number(options, 6, config.dns());
        }
        number(options, 51, LEASE_SECONDS);
        text(options, 12, config.hostname());
        text(options, 15, config.domain());
        text(options, 66, config.tftpServer());
        option(options, 119, search);
    }

    private static void text(ByteArrayOutputStream options, int code, @Nullable String text) {
        if (text != null && !text.isEmpty()) {
            option(options, code, ascii(text));
        }
    }

    private static void number(ByteArrayOutputStream options, int code, int value) {
        byte[] bytes = new byte[4];
        BigEndian.put32(bytes, 0, value);
        option(options, code, bytes);
    }

    /** An option, if there is room for it; one of more than 255 bytes is written in several (RFC 3396). */
    private static void option(ByteArrayOutputStream options, int code, byte[] value) {
        int whole = value.length + 2 * ((value.length + 254) / 255);
        if (options.size() + whole >= REPLY - OPTIONS) {
            return;
        }
        for (int from = 0; from < value.length; from += 255) {
            int length = Math.min(255, value.length - from);
            options.write(code);
            options.write(length);
            options.write(value, from, length);
        }
    }

    private static byte[] ascii(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return bytes.length <= 255 ? bytes : Arrays.copyOf(bytes, 255);
    }

    /** The names of domains as DNS writes them (RFC 1035, RFC 3397), without compression. */
    private static byte[] encode(List<String> domains, Consumer<String> warnings) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (String domain : domains) {
            List<byte[]> labels = new ArrayList<>();
            for (String label : domain.split("\\.")) {
                labels.add(label.getBytes(StandardCharsets.UTF_8));
            }
            if (domain.isEmpty()
                    || labels.stream().anyMatch(l -> l.length == 0 || l.length > LONGEST_LABEL)) {
                warnings.accept("user networking: no domain name: '" + domain + "'");
                continue;
            }
            for (byte[] label : labels) {
                all.write(label.length);
                all.write(label, 0, label.length);
            }
            all.write(0);
        }
        return all.toByteArray();
    }
}
