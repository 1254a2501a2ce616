package lockstep.colo.compare;

import lockstep.colo.packet.Ipv4Packet;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

/** The trace events of the comparison, in QEMU's words where it has them. */
final class CompareTrace {
    static final TraceEvent MAIN = Trace.event("colo_compare_main");
    static final TraceEvent DROP = Trace.event("colo_compare_drop_packet");
    static final TraceEvent OLD = Trace.event("colo_old_packet_check_found");

    /** Ours: why a checkpoint is asked for, at each difference that is met until there was one. */
    static final TraceEvent CHECKPOINT = Trace.event("colo_compare_checkpoint");

    private static final TraceEvent UDP = Trace.event("colo_compare_udp_miscompare");
    private static final TraceEvent ICMP = Trace.event("colo_compare_icmp_miscompare");
    private static final TraceEvent IP = Trace.event("colo_compare_ip_info");
    private static final TraceEvent TCP = Trace.event("colo_compare_tcp_info");

    private CompareTrace() {}

    static void ip(Queued p, Queued s) {
        if (IP.on()) {
            IP.log(
                    "ppkt size = %d, ip_src = %s, ip_dst = %s, spkt size = %d, ip_src = %s, ip_dst"
                            + " = %s",
                    p.packet().length(),
                    Ipv4Packet.dotted(p.packet().source()),
                    Ipv4Packet.dotted(p.packet().destination()),
                    s.packet().length(),
                    Ipv4Packet.dotted(s.packet().source()),
                    Ipv4Packet.dotted(s.packet().destination()));
        }
    }

    static void tcp(Queued p, Queued s) {
        if (TCP.on()) {
            tcp("pri", p);
            tcp("sec", s);
        }
    }

    private static void tcp(String side, Queued q) {
        TCP.log(
                "%s: seq/ack= %s/%s hdlen= %d pdlen= %d offset= %d flags=%d",
                side,
                Integer.toUnsignedString(q.sequence()),
                Integer.toUnsignedString(q.packet().acknowledgement()),
                q.payloadOffset(),
                q.payloadLength(),
                q.compared(),
                q.packet().flags());
    }

    static void miscompare(int protocol, Queued p, Queued s) {
        TraceEvent event =
                switch (protocol) {
                    case Ipv4Packet.UDP -> UDP;
                    case Ipv4Packet.ICMP -> ICMP;
                    default -> null;
                };
        if (event != null && event.on()) {
            event.log(": primary pkt size = " + p.packet().length());
            event.log(": Secondary pkt size = " + s.packet().length());
        }
    }
}
