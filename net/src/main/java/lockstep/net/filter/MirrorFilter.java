package lockstep.net.filter;

import lockstep.net.NetException;
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

/** filter-mirror: sends a copy of each packet to a character device and lets the packet pass. */
public final class MirrorFilter extends NetFilter {
    /** QEMU: type "filter-mirror". It keeps its device; another name is only remembered. */
    public static final QomType<MirrorFilter> TYPE =
            QomType.<MirrorFilter>of("filter-mirror", NetFilter.TYPE)
                    .with(
                            "vnet_hdr_support",
                            QomKind.BOOL,
                            null,
                            f -> f.outdev.vnetHeader(),
                            (f, v) -> f.outdev.vnetHeader(v))
                    .with(
                            "outdev",
                            QomKind.STRING,
                            null,
                            f -> f.outdevName,
                            (f, v) -> f.outdevName = v);

    private final ChardevPort outdev;
    private String outdevName;
    private boolean failing;

    /** Takes hold of {@code outdev}; the filter is not in its chain yet. */
    public MirrorFilter(
            Network network,
            Placement placement,
            ChardevLookup chardevs,
            String outdev,
            boolean vnetHeader)
            throws NetException {
        super(network, "filter-mirror", placement);
        network.position(placement);
        this.outdevName = outdev;
        this.outdev =
                ChardevPort.output(
                        chardevs, "Device", outdev, vnetHeader, this::drained, network::warn);
    }

    @Override
    protected int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        try {
            outdev.write(frame, offset, length, netdev().vnetHeaderLength());
            failing = false;
        } catch (IOException e) {
            // The words are QEMU's, which prints its number 1 as an errno.
            complain("filter mirror send failed(Operation not permitted)");
        }
        return 0;
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
        return outdev.congested();
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    protected void cleanup() {
        outdev.close();
    }
}
