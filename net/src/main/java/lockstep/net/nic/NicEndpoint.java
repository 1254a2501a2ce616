package lockstep.net.nic;

import lockstep.net.MacAddress;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;

import java.util.Arrays;

/** A NIC's end of the wire. */
final class NicEndpoint extends Endpoint implements NicPort {
    /** Bytes of the shortest Ethernet frame without its check sequence (IEEE 802.3). */
    private static final int SHORTEST = 60;

    private final String model;
    private final MacAddress mac;
    private final NicClient client;

    NicEndpoint(Network network, String name, String model, MacAddress mac, NicClient client) {
        super(network, name, "nic");
        this.model = model;
        this.mac = mac;
        this.client = client;
        describe(mac);
    }

    private void describe(MacAddress now) {
        info("model=" + model + ",macaddr=" + now);
    }

    @Override
    public boolean nic() {
        return true;
    }

    String model() {
        return model;
    }

    @Override
    public MacAddress mac() {
        return mac;
    }

    @Override
    public boolean linkUp() {
        return !linkDown();
    }

    @Override
    public void send(byte[] frame, int offset, int length) {
        send(frame, offset, length, null);
    }

    @Override
    public boolean heldBack() {
        return jammedAhead();
    }

    @Override
    protected void wake() {
        client.sendAgain();
    }

    @Override
    public void flush() {
        flushIncoming();
    }

    @Override
    public void addressChanged(MacAddress now) {
        describe(now);
    }

    @Override
    protected boolean canReceive() {
        return client.canReceive();
    }

    @Override
    protected int receive(byte[] frame, int offset, int length) {
        if (!client.canReceive()) {
            return 0;
        }
        if (length < SHORTEST) {
            // A backend without a minimum may bring less than any wire would.
            byte[] whole =
                    Arrays.copyOf(Arrays.copyOfRange(frame, offset, offset + length), SHORTEST);
            client.receive(whole, 0, SHORTEST);
        } else {
            client.receive(frame, offset, length);
        }
        return length;
    }

    @Override
    protected void linkChanged() {
        client.linkChanged(!linkDown());
    }

    @Override
    protected void cleanup() {
        network().releaseMac(mac);
    }
}
