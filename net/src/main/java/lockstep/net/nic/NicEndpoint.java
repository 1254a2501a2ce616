package lockstep.net.nic;

import lockstep.net.MacAddress;
import lockstep.net.NicClient;
import lockstep.net.NicPort;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;

/** A NIC's end of the wire. */
final class NicEndpoint extends Endpoint implements NicPort {
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
        client.receive(frame, offset, length);
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
