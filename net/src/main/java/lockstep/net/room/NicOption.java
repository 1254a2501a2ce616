package lockstep.net.room;

import lockstep.api.Netdev;
import lockstep.api.OnboardNic;
import lockstep.net.Nics;
import lockstep.net.nic.NetServices;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.StartPhase;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/** {@code -nic}: a backend, and a NIC for it that the machine brings. */
final class NicOption implements OptionHandler {
    private static final String NONE = "none";

    private record Both(Netdev netdev, Nics.Wanted nic) {}

    private final Netdevs netdevs;
    private final NetServices services;
    private final NetOption net;
    private final Deque<Both> parsed = new ArrayDeque<>();

    NicOption(Netdevs netdevs, NetServices services, NetOption net) {
        this.netdevs = netdevs;
        this.services = services;
        this.net = net;
    }

    @Override
    public List<String> names() {
        return List.of("nic");
    }

    @Override
    public StartPhase phase() {
        return StartPhase.NETDEVS;
    }

    @Override
    public void parse(String argument) throws OptionException {
        netdevs.given();
        if (argument.equals(NONE)) {
            return;
        }
        try {
            JsonObject tree = NetdevOption.tree(argument);
            JsonObject own = new JsonObject();
            for (String name : List.of("model", "mac")) {
                JsonValue value = tree.remove(name);
                if (value != null) {
                    own.put(name, value);
                }
            }
            if (tree.get("id") instanceof JsonString id) {
                if (!OptionText.isIdentifier(id.value())) {
                    throw new OptionException("Parameter 'id' expects an identifier");
                }
            } else {
                tree.put("id", new JsonString(netdevs.nextId()));
            }
            OnboardNic nic =
                    OnboardNic.read(
                            new KeyvalInputVisitor(own, KeyvalInputVisitor.Style.OPTIONS), null);
            Netdev netdev = NetdevOption.read(tree);
            parsed.add(new Both(netdev, new Nics.Wanted(nic.model(), nic.mac(), netdev.id())));
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    @Override
    public void apply(String argument) throws OptionException {
        if (argument.equals(NONE)) {
            return;
        }
        Both both = parsed.remove();
        try {
            netdevs.make(both.netdev(), " for nic");
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
        services.want(both.nic());
    }

    /** Behind all of {@code -netdev} and {@code -nic} come those of {@code -net}. */
    @Override
    public void finish() throws OptionException {
        net.make();
    }

    @Override
    public String help() {
        return "-nic none|user|tap|socket|stream|dgram|hubport[,id=ID][,model=M][,mac=M][,...]"
                + "  a network adapter of the machine's, and its backend\n";
    }
}
