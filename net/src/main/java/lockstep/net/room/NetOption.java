package lockstep.net.room;

import lockstep.api.NetLegacyNicOptions;
import lockstep.api.Netdev;
import lockstep.net.NetException;
import lockstep.net.Nics;
import lockstep.net.nic.NetServices;
import lockstep.net.wire.Network;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.QmpException;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.option.TypeHelp;

import java.util.ArrayList;
import java.util.List;

/**
 * {@code -net}, the oldest of the three: NICs and backends that meet at hub 0. What a machine has by default is said in it,
 * too. And the last look at all wires.
 */
final class NetOption implements OptionHandler {
    private static final int HUB = 0;

    private final Network network;
    private final Netdevs netdevs;
    private final NetServices services;
    private final List<Netdev> parsed = new ArrayList<>();

    NetOption(Network network, Netdevs netdevs, NetServices services) {
        this.network = network;
        this.netdevs = netdevs;
        this.services = services;
    }

    @Override
    public List<String> names() {
        return List.of("net");
    }

    @Override
    public StartPhase phase() {
        return StartPhase.LAUNCH;
    }

    @Override
    public void parse(String argument) throws OptionException {
        netdevs.given();
        if (TypeHelp.askedForTypes(argument)) {
            throw new EndOfProgram(
                    "Available netdev backend types:\n" + String.join("\n", Netdevs.TYPES) + "\n");
        }
        if (!argument.equals("none")) {
            add(argument);
        }
    }

    private void add(String argument) throws OptionException {
        try {
            JsonObject tree = NetdevOption.flat(argument);
            if (!(tree.get("id") instanceof JsonString)) {
                tree.put("id", new JsonString(netdevs.nextId()));
            }
            parsed.add(
                    Netdev.read(
                            new KeyvalInputVisitor(tree, KeyvalInputVisitor.Style.OPTIONS), null));
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    /** Makes all of them, or the default ones. */
    void make() throws OptionException {
        if (netdevs.byDefault()) {
            add("nic");
            add("user");
        }
        try {
            for (Netdev n : parsed) {
                if (n instanceof Netdev.Nic nic) {
                    want(nic.data());
                } else {
                    netdevs.make(n, "");
                    netdevs.join(n.id(), HUB);
                }
            }
        } catch (QmpException e) {
            throw new OptionException(e.description());
        } catch (NetException e) {
            throw new OptionException(String.valueOf(e.getMessage()));
        }
    }

    private void want(NetLegacyNicOptions nic) {
        String netdev = nic.netdev() != null ? nic.netdev() : netdevs.portForNic(HUB);
        services.want(new Nics.Wanted(nic.model(), nic.macaddr(), netdev));
    }

    @Override
    public void apply(String argument) {}

    @Override
    public void finish() {
        if (!netdevs.byDefault()) {
            network.warnUnconnected();
        }
    }

    @Override
    public String help() {
        return "-net none       no network; without a word about it there is -net nic -net user\n"
                + "-net nic[,model=M][,macaddr=M]|user|tap|socket[,...]  a network adapter, or a"
                + " backend, on hub 0\n";
    }
}
