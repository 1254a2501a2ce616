package lockstep.net.room;

import lockstep.api.AnnounceParameters;
import lockstep.api.NetCommands;
import lockstep.api.Netdev;
import lockstep.api.NetdevDelArguments;
import lockstep.api.QueryRxFilterArguments;
import lockstep.api.RxFilterInfo;
import lockstep.api.SetLinkArguments;
import lockstep.net.NetException;
import lockstep.net.nic.NetServices;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.QmpException;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpTable;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The net room's commands, of both monitors. */
final class NetMonitor implements NetCommands {
    private final Network network;
    private final Netdevs netdevs;
    private final NetServices services;

    NetMonitor(Network network, Netdevs netdevs, NetServices services) {
        this.network = network;
        this.netdevs = netdevs;
        this.services = services;
    }

    @Override
    public void setLink(SetLinkArguments arguments) throws QmpException {
        if (!network.setLink(arguments.name(), arguments.up())) {
            throw new QmpException(
                    ErrorClass.DEVICE_NOT_FOUND, "Device '" + arguments.name() + "' not found");
        }
    }

    @Override
    public List<RxFilterInfo> queryRxFilter(QueryRxFilterArguments arguments) throws QmpException {
        String name = arguments.name();
        if (name == null) {
            return List.of(); // Adapters that cannot tell are left out, and none here can.
        }
        Endpoint client = network.find(name);
        if (client == null) {
            throw new QmpException("invalid net client name: " + name);
        }
        throw new QmpException(
                client.type().equals("nic")
                        ? "net client(" + name + ") doesn't support rx-filter querying"
                        : "net client(" + name + ") isn't a NIC");
    }

    @Override
    public void netdevAdd(Netdev arguments) throws QmpException {
        netdevs.add(arguments, "");
    }

    @Override
    public void netdevDel(NetdevDelArguments arguments) throws QmpException {
        netdevs.delete(arguments.id());
    }

    @Override
    public void announceSelf(AnnounceParameters a) throws QmpException {
        // QEMU takes any numbers here; what makes no sense is brought into the range that does.
        services.announce(
                Math.clamp(a.initial(), 0, 100_000),
                Math.clamp(a.max(), 0, 100_000),
                Math.clamp(a.rounds(), 1, 1000),
                Math.clamp(a.step(), 0, 10_000),
                a.interfaces());
    }

    /** Changes the forwardings of one network. */
    private interface Forwarding {
        @Nullable String change(@Nullable String id, String text) throws NetException;
    }

    /** Both commands have the network first, which may be left out, and say what is wrong without {@code Error:}. */
    private static void forwarding(HmpArguments arguments, StringBuilder out, Forwarding action) {
        String second = arguments.optional("arg2");
        String first = arguments.string("arg1");
        String said;
        try {
            said = second == null ? action.change(null, first) : action.change(first, second);
        } catch (NetException e) {
            said = e.getMessage();
        }
        if (said != null) {
            out.append(said).append('\n');
        }
    }

    void register(HmpTable hmp) {
        hmp.addInfo(
                "network",
                "",
                "",
                "network clients and their filters",
                (arguments, out) -> out.append(network.describe()));
        hmp.addInfo(
                "usernet",
                "",
                "",
                "show user network stack connection states",
                (arguments, out) -> out.append(netdevs.describeUsers()));
        hmp.add(
                "hostfwd_add",
                "arg1:s,arg2:s?",
                "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
                "redirect TCP or UDP connections from host to guest (requires -net user)",
                (arguments, out) ->
                        forwarding(
                                arguments,
                                out,
                                (id, rule) -> {
                                    netdevs.users().forward(id, rule);
                                    return null;
                                }));
        hmp.add(
                "hostfwd_remove",
                "arg1:s,arg2:s?",
                "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
                "remove host-to-guest TCP or UDP redirection",
                (arguments, out) -> forwarding(arguments, out, netdevs.users()::unforward));
        hmp.add(
                "set_link",
                "name:s,up:b",
                "name on|off",
                "plug or unplug the cable of a network client",
                (arguments, out) ->
                        setLink(
                                new SetLinkArguments(
                                        arguments.string("name"), arguments.flag("up"))));
        hmp.add(
                "netdev_add",
                "netdev:O",
                "[user|tap|socket|hubport],id=str[,prop=value][,...]",
                "make a network backend",
                (arguments, out) ->
                        netdevs.add(
                                Netdev.read(
                                        new KeyvalInputVisitor(
                                                NetdevOption.flat(arguments.string("netdev")),
                                                KeyvalInputVisitor.Style.OPTIONS),
                                        null),
                                ""));
        hmp.add(
                "netdev_del",
                "id:s",
                "id",
                "delete a network backend",
                (arguments, out) -> netdevs.delete(arguments.string("id")));
        hmp.add(
                "announce_self",
                "interfaces:s?,id:s?",
                "[interfaces] [id]",
                "Trigger GARP/RARP announcements",
                (arguments, out) -> services.announce(50, 550, 5, 100));
    }
}
