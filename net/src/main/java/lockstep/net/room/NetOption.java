package lockstep.net.room;

import lockstep.net.wire.Network;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.StartPhase;

import java.util.List;

/** {@code -net}, of which only {@code none} is left; and the last look at all wires. */
final class NetOption implements OptionHandler {
    private final Network network;

    NetOption(Network network) {
        this.network = network;
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
        if (!argument.equals("none")) {
            throw new OptionException(
                    "use -nic, or -netdev with -device, instead; only 'none' is supported");
        }
    }

    @Override
    public void apply(String argument) {}

    @Override
    public void finish() {
        network.warnUnconnected();
    }

    @Override
    public String help() {
        return "-net none       no default network (there is none in any case)\n";
    }
}
