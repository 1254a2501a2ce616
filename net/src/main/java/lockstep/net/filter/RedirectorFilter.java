package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.net.NetFilters;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/**
 * filter-redirector: takes packets away to one character device, and puts packets from another in
 * their place. Status off stops only the taking. On both sides of a COLO pair it marks among the packets where
 * each checkpoint lies.
 */
public final class RedirectorFilter extends NetFilter {
    /** QEMU: type "filter-redirector". It keeps its devices; other names are only remembered. */
    public static final QomType<RedirectorFilter> TYPE =
            QomType.<RedirectorFilter>of("filter-redirector", NetFilter.TYPE)
                    .with(
                            "vnet_hdr_support",
                            QomKind.BOOL,
                            null,
                            f -> f.vnetHeader,
                            RedirectorFilter::setVnetHeader)
                    .with(
                            "indev",
                            QomKind.STRING,
                            null,
                            f -> f.indevName,
                            (f, v) -> f.indevName = v)
                    .with(
                            "outdev",
                            QomKind.STRING,
                            null,
                            f -> f.outdevName,
                            (f, v) -> f.outdevName = v);

    private final @Nullable ChardevPort indev;
    private final @Nullable ChardevPort outdev;
    private boolean vnetHeader;
    private String indevName;
    private String outdevName;
    private boolean failing;

    /** The number of the last checkpoint of a session that runs, else -1. */
    private long checkpoint = -1;

    /** Takes hold of the devices; the filter is not in its chain yet. */
    public RedirectorFilter(
            Network network,
            Placement placement,
            ChardevLookup chardevs,
            @Nullable String indev,
            @Nullable String outdev,
            boolean vnetHeader)
            throws NetException {
        super(network, "filter-redirector", placement);
        network.position(placement);
        this.vnetHeader = vnetHeader;
        this.indevName = indev == null ? "" : indev;
        this.outdevName = outdev == null ? "" : outdev;
        if (indev == null && outdev == null) {
            throw new NetException(
                    "filter redirector needs 'indev' or 'outdev' at least one property set");
        }
        if (indev != null && indev.equals(outdev)) {
            throw new NetException("'indev' and 'outdev' could not be same for filter redirector");
        }
        if (indev != null) {
            ChardevPort.Input input =
                    new ChardevPort.Input(vnetHeader, (f, n, v) -> inject(f, n), network::warn);
            this.indev = ChardevPort.input(chardevs, "IN Device", indev, vnetHeader, input);
        } else {
            this.indev = null;
        }
        try {
            this.outdev =
                    outdev == null
                            ? null
                            : ChardevPort.output(
                                    chardevs,
                                    "OUT Device",
                                    outdev,
                                    vnetHeader,
                                    this::drained,
                                    network::warn);
        } catch (NetException e) {
            if (this.indev != null) {
                this.indev.close();
            }
            throw e;
        }
    }

    /** Of what is written from now on; the reader is between two frames only by chance. */
    private void setVnetHeader(boolean value) {
        vnetHeader = value;
        if (outdev != null) {
            outdev.vnetHeader(value);
        }
    }

    @Override
    protected int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        if (outdev == null) {
            return 0;
        }
        // A guest does not say where its checkpoints lie.
        if (checkpoint < 0 || !CheckpointMark.is(frame, offset, length, header())) {
            write(outdev, frame, offset, length);
        }
        return length;
    }

    private void write(ChardevPort to, byte[] frame, int offset, int length) {
        try {
            to.write(frame, offset, length, netdev().vnetHeaderLength());
            failing = false;
        } catch (IOException e) {
            complain("filter redirector send failed(Operation not permitted)");
        }
    }

    private int header() {
        return vnetHeader ? netdev().vnetHeaderLength() : 0;
    }

    @Override
    public void colo(NetFilters.Event event) {
        super.colo(event);
        switch (event) {
            case LEAD -> checkpoint = 0;
            case START -> mark(0);
            case STAND, CHECKPOINT -> {
                if (checkpoint >= 0) {
                    mark(checkpoint + 1);
                }
            }
            case FAILOVER -> checkpoint = -1;
        }
    }

    private void mark(long number) {
        checkpoint = number;
        byte[] frame = CheckpointMark.frame(header(), number);
        if (on() && outdev != null) {
            try {
                outdev.write(frame, 0, frame.length, netdev().vnetHeaderLength());
            } catch (IOException e) {
                // Nobody is there to be told. A packet's loss would be worth a word.
            }
        }
    }

    private void inject(byte[] frame, int length) {
        if (queue() != Direction.RX) {
            passOn(netdev(), frame, 0, length);
        }
        Endpoint nic = netdev().peer();
        if (queue() != Direction.TX && nic != null) {
            passOn(nic, frame, 0, length);
        }
    }

    /** Says it once per series of failures: the guest decides how many packets there are. */
    private void complain(String message) {
        if (!failing) {
            failing = true;
            netdev().network().warn(message);
        }
    }

    private void drained() {
        netdev().uncongested();
    }

    @Override
    public boolean congested() {
        return outdev != null && outdev.congested();
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    protected void cleanup() {
        if (indev != null) {
            indev.close();
        }
        if (outdev != null) {
            outdev.close();
        }
    }
}
