package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.function.BiConsumer;

/**
 * filter-redirector: takes packets away to one character device, and puts packets from another in
 * their place. Status off stops only the taking.
 */
public final class RedirectorFilter extends NetFilter {
    private final @Nullable ChardevPort indev;
    private final @Nullable ChardevPort outdev;
    private final boolean vnetHeader;
    private boolean failing;

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
                                    chardevs, "OUT Device", outdev, vnetHeader, this::drained);
        } catch (NetException e) {
            if (this.indev != null) {
                this.indev.close();
            }
            throw e;
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
        try {
            outdev.write(frame, offset, length, netdev().vnetHeaderLength());
            failing = false;
        } catch (IOException e) {
            complain("filter redirector send failed(Operation not permitted)");
        }
        return length;
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
        return on() && outdev != null && outdev.congested();
    }

    @Override
    protected void properties(BiConsumer<String, Object> out) {
        out.accept("vnet_hdr_support", vnetHeader);
        out.accept("indev", indev == null ? "" : indev.id());
        out.accept("outdev", outdev == null ? "" : outdev.id());
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
