package lockstep.colo.rewriter;

import lockstep.api.FilterRewriterProperties;
import lockstep.api.ObjectOptions;
import lockstep.colo.packet.Ipv4Packet;
import lockstep.net.NetException;
import lockstep.net.NetFilters;
import lockstep.net.filter.FilterObject;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.List;

/**
 * filter-rewriter, on the secondary's backend with queue=all. Stays on after failover: connections
 * of that time need it until they end, and a new secondary's rewriter is told what it does with them.
 */
public final class RewriterFilter extends NetFilter {
    /** QEMU: type "filter-rewriter". */
    public static final QomType<RewriterFilter> TYPE =
            QomType.<RewriterFilter>of("filter-rewriter", NetFilter.TYPE)
                    .with(
                            "vnet_hdr_support",
                            QomKind.BOOL,
                            null,
                            f -> f.vnetHeader,
                            (f, v) -> f.vnetHeader = v);

    private boolean vnetHeader;
    private final RewriteEngine engine = new RewriteEngine();

    /** A filter that is not in its chain yet. */
    public RewriterFilter(Network network, Placement placement, boolean vnetHeader)
            throws NetException {
        super(network, "filter-rewriter", placement);
        network.position(placement);
        this.vnetHeader = vnetHeader;
    }

    /** Offers filter-rewriter to {@code -object} and object-add. */
    public static void install(Registration offer, Vmm vmm) {
        Network network = vmm.service(Network.class);
        offer.objectType(
                TYPE,
                ObjectOptions.FilterRewriter.class,
                (o, v) -> create(o.id(), o.data(), network));
    }

    private static FilterObject create(String id, FilterRewriterProperties p, Network network)
            throws QmpException {
        boolean vnet = Boolean.TRUE.equals(p.vnetHdrSupport());
        return FilterObject.create(id, p, at -> new RewriterFilter(network, at, vnet));
    }

    @Override
    protected int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        int header = header();
        if (direction == Direction.TX && engine.learn(frame, offset, length, header)) {
            return length;
        }
        // The sender keeps its bytes as they are; only TCP over IPv4 is worth a copy.
        if (length < 34 || !mayBeTcp(frame, offset)) {
            return 0;
        }
        byte[] copy = Arrays.copyOfRange(frame, offset, offset + length);
        Ipv4Packet p = RewriteEngine.parse(copy, length, header);
        if (p == null
                || engine.handle(p, direction == Direction.TX) == RewriteEngine.Verdict.PASS) {
            return 0;
        }
        passOn(sender, copy, 0, length);
        return length;
    }

    private int header() {
        return vnetHeader ? netdev().vnetHeaderLength() : 0;
    }

    private boolean mayBeTcp(byte[] frame, int offset) {
        return vnetHeader
                || frame[offset + 12] == 8
                        && frame[offset + 13] == 0
                        && frame[offset + 23] == Ipv4Packet.TCP;
    }

    @Override
    public void colo(NetFilters.Event event) {
        switch (event) {
            case CHECKPOINT -> engine.checkpoint();
            case FAILOVER -> engine.failover();
            case LEAD ->
                    // Through the mirror to the rewriter of the new secondary.
                    engine.translations(header()).forEach(this::show);
            case START, STAND -> {}
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }
}
