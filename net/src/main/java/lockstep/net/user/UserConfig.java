package lockstep.net.user;

import lockstep.api.NetdevUserOptions;
import lockstep.api.StringValue;
import lockstep.net.NetException;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;

/**
 * What a user network looks like to its guest. The order of the checks, and their words, are QEMU's.
 *
 * @param network its address
 * @param mask its mask
 * @param host the gateway, behind which is the host
 * @param dns the name server
 * @param dhcpStart the first of the {@value Dhcp#CLIENTS} addresses that DHCP gives
 * @param restricted whether the guest is kept away from everything but what is forwarded
 */
record UserConfig(
        int network,
        int mask,
        int host,
        int dns,
        int dhcpStart,
        boolean restricted,
        @Nullable String hostname,
        @Nullable String domain,
        List<String> search,
        @Nullable String bootFile,
        @Nullable String tftp,
        @Nullable String tftpServer) {
    private static final int LONGEST_TEXT = 255;

    static UserConfig of(NetdevUserOptions o) throws NetException {
        boolean four = o.ipv4() != null ? o.ipv4() : !Boolean.TRUE.equals(o.ipv6());
        boolean six = o.ipv6() != null ? o.ipv6() : !Boolean.TRUE.equals(o.ipv4());
        String net = o.net() != null ? o.net() : o.ip() != null ? o.ip() + "/24" : null;
        boolean sixGiven =
                o.ipv6Prefix() != null
                        || o.ipv6Prefixlen() != null
                        || o.ipv6Host() != null
                        || o.ipv6Dns() != null;
        if (!four && (net != null || o.host() != null || o.dns() != null)) {
            throw new NetException("IPv4 disabled but netmask/host/dns provided");
        }
        if (!six && sixGiven) {
            throw new NetException("IPv6 disabled but prefix/host6/dns6 provided");
        }
        if (!four && !six) {
            throw new NetException("IPv4 and IPv6 disabled");
        }
        if (!four || Boolean.TRUE.equals(o.ipv6()) || sixGiven) {
            throw new NetException("IPv6 is not supported by user networking, use IPv4 alone");
        }
        if (o.smb() != null || o.smbserver() != null) {
            throw new NetException("smb= is not supported by user networking");
        }
        if (o.tftp() != null) {
            throw new NetException("tftp= is not supported by user networking");
        }
        int mask = 0xffff_ff00;
        int network = 0x0a00_0200;
        if (net != null) {
            int slash = net.indexOf('/');
            String first = slash < 0 ? net : net.substring(0, slash);
            int given = address(first, "Failed to parse netmask");
            mask = slash < 0 ? classMask(given) : mask(net.substring(slash + 1));
            network = given & mask;
        }
        int host = member(network, mask, 0x0202);
        int dns = member(network, mask, 0x0203);
        int dhcp = member(network, mask, 0x020f);
        if (o.host() != null) {
            host = address(o.host(), "Failed to parse host");
        }
        require((host & mask) == network, "Host doesn't belong to network");
        if (o.dns() != null) {
            dns = address(o.dns(), "Failed to parse DNS");
        }
        boolean restricted = Boolean.TRUE.equals(o.restrict());
        require(!restricted || (dns & mask) == network, "DNS doesn't belong to network");
        require(dns != host, "DNS must be different from host");
        if (o.dhcpstart() != null) {
            dhcp = address(o.dhcpstart(), "Failed to parse DHCP start address");
        }
        require((dhcp & mask) == network, "DHCP doesn't belong to network");
        require(dhcp != host && dhcp != dns, "DHCP must be different from host and DNS");
        require(!"".equals(o.domainname()), "'domainname' parameter cannot be empty");
        limit("domainname", o.domainname());
        limit("vhostname", o.hostname());
        limit("tftp-server-name", o.tftpServerName());
        List<StringValue> search =
                Objects.requireNonNullElse(o.dnssearch(), List.<StringValue>of());
        return new UserConfig(
                network,
                mask,
                host,
                dns,
                dhcp,
                restricted,
                o.hostname(),
                o.domainname(),
                search.stream().map(StringValue::str).toList(),
                o.bootfile(),
                o.tftp(),
                o.tftpServerName());
    }

    private static int member(int network, int mask, int host) {
        return network | host & ~mask;
    }

    private static void require(boolean good, String otherwise) throws NetException {
        if (!good) {
            throw new NetException(otherwise);
        }
    }

    private static void limit(String name, @Nullable String text) throws NetException {
        if (text != null && text.getBytes(StandardCharsets.UTF_8).length > LONGEST_TEXT) {
            throw new NetException("'" + name + "' parameter cannot exceed 255 bytes");
        }
    }

    private static int address(String text, String otherwise) throws NetException {
        Integer a = Ip.parse(text);
        if (a == null) {
            throw new NetException(otherwise);
        }
        return a;
    }

    /** The mask behind a slash: a number of bits, or an address. */
    private static int mask(String text) throws NetException {
        if (!text.matches("[0-9]+")) {
            return address(text, "Failed to parse netmask (trailing chars)");
        }
        int bits = text.length() > 9 ? Integer.MAX_VALUE : Integer.parseInt(text);
        require(bits >= 4 && bits <= 32, "Invalid netmask provided (must be in range 4-32)");
        return (int) (0xffff_ffffL << 32 - bits);
    }

    /** What an address without a mask means: that of its class, or of the private range that it is in. */
    private static int classMask(int a) {
        if (a >= 0) {
            return 0xff00_0000;
        }
        if ((a & 0xfff0_0000) == 0xac10_0000) {
            return 0xfff0_0000;
        }
        if ((a & 0xc000_0000) == 0x8000_0000) {
            return 0xffff_0000;
        }
        if ((a & 0xffff_0000) == 0xc0a8_0000) {
            return 0xffff_0000;
        }
        if ((a & 0xffff_0000) == 0xc612_0000) {
            return 0xfffe_0000;
        }
        return (a & 0xe000_0000) == 0xe000_0000 ? 0xffff_ff00 : 0xffff_fff0;
    }

    /** Whether an address is one of the network's own, behind which the host is. */
    boolean inside(int address) {
        return (address & mask) == network;
    }

    /** Whether an address is that of everyone. */
    boolean broadcast(int address) {
        return address == Ip.BROADCAST || inside(address) && (address | mask) == Ip.BROADCAST;
    }
}
