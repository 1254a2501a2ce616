/** IPv4 packets in Ethernet frames, as the comparison and the rewriter read them. */
package lockstep.colo.packet;
