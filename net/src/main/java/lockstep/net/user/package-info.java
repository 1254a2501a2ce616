/**
 * User networking: a small Ethernet with a gateway, a name server and a DHCP server that lives in this process and
 * carries the guest's connections over sockets of the host's. No privilege is needed, and the guest is not reachable
 * but by the ports that the user forwards. QEMU: {@code -netdev user}, which libslirp serves.
 *
 * <p>{@code UserEndpoint} is the backend, {@code Ethernet} its wire with ARP and IP below, {@code Dhcp}, {@code Icmp},
 * {@code UdpRelay} and {@code TcpRelay} what is above. Everything runs under the machine lock, nothing blocks, and
 * what a guest can make grow has a limit. Not modelled: IPv6, SMB, and the IP options.
 */
package lockstep.net.user;
