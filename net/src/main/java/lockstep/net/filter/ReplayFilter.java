package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** filter-replay: lets everything pass; it only means something to record and replay. */
public final class ReplayFilter extends NetFilter {
    /** QEMU: type "filter-replay". */
    public static final QomType<ReplayFilter> TYPE = QomType.of("filter-replay", NetFilter.TYPE);

    /** A filter that is not in its chain yet. */
    public ReplayFilter(Network network, Placement placement) throws NetException {
        super(network, "filter-replay", placement);
        network.position(placement);
    }

    @Override
    protected int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        return 0;
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }
}
