package lockstep.net.room;

import lockstep.api.FilterBufferProperties;
import lockstep.api.FilterDumpProperties;
import lockstep.api.FilterMirrorProperties;
import lockstep.api.FilterRedirectorProperties;
import lockstep.api.NetCommands;
import lockstep.api.NetfilterProperties;
import lockstep.api.ObjectOptions;
import lockstep.net.NetFilters;
import lockstep.net.Nics;
import lockstep.net.filter.BufferFilter;
import lockstep.net.filter.ChardevLookup;
import lockstep.net.filter.DumpFilter;
import lockstep.net.filter.FilterObject;
import lockstep.net.filter.MirrorFilter;
import lockstep.net.filter.RedirectorFilter;
import lockstep.net.filter.ReplayFilter;
import lockstep.net.nic.NetServices;
import lockstep.net.wire.Network;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.spi.NetworkAnnouncer;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

/** Plugs the net room into the runtime. */
public final class NetRoom implements Room {
    private boolean running;

    /** For ServiceLoader. */
    public NetRoom() {}

    @Override
    public int order() {
        return 20;
    }

    @Override
    public void install(Registration offer, Vmm vmm) {
        Network network = new Network(() -> running, vmm::warn);
        network.onFilterGone(f -> vmm.objects().removeObject(f.id()));
        Netdevs netdevs = new Netdevs(vmm, network);
        NetServices services = new NetServices(network, vmm.mainLoop());
        NetMonitor monitor = new NetMonitor(network, netdevs, services);
        vmm.publish(Network.class, network);
        vmm.publish(Nics.class, services);
        vmm.publish(NetFilters.class, services);
        vmm.publish(NetworkAnnouncer.class, services);
        offer.option(new NetdevOption(netdevs));
        NetOption net = new NetOption(network, netdevs, services);
        offer.option(new NicOption(netdevs, services, net));
        offer.option(net);
        NetCommands.register(offer.commands(), monitor);
        monitor.register(vmm.hmp());
        filters(offer, vmm, network, services);
        vmm.run()
                .addListener(
                        (now, state) -> {
                            running = now;
                            network.runningChanged(now);
                        });
        offer.onExit(network::closeAll);
    }

    private static void filters(
            Registration offer, Vmm vmm, Network network, NetServices services) {
        ChardevLookup chardevs =
                new ChardevLookup() {
                    @Override
                    public @Nullable Chardev find(String id) {
                        return vmm.chardevs().find(id);
                    }

                    @Override
                    public EventLoop loop() {
                        return vmm.mainLoop();
                    }

                    @Override
                    public boolean held() {
                        return services.held();
                    }
                };
        offer.objectType(
                MirrorFilter.TYPE,
                ObjectOptions.FilterMirror.class,
                (o, v) -> mirror(o.id(), o.data(), network, chardevs));
        offer.objectType(
                RedirectorFilter.TYPE,
                ObjectOptions.FilterRedirector.class,
                (o, v) -> redirector(o.id(), o.data(), network, chardevs));
        offer.objectType(
                BufferFilter.TYPE,
                ObjectOptions.FilterBuffer.class,
                (o, v) -> buffer(o.id(), o.data(), network, v));
        offer.objectType(
                DumpFilter.TYPE,
                ObjectOptions.FilterDump.class,
                (o, v) -> dump(o.id(), o.data(), network, v));
        offer.objectType(
                ReplayFilter.TYPE,
                ObjectOptions.FilterReplay.class,
                (o, v) -> replay(o.id(), o.data(), network));
    }

    private static FilterObject mirror(
            String id, FilterMirrorProperties p, Network network, ChardevLookup chardevs)
            throws QmpException {
        boolean vnet = Boolean.TRUE.equals(p.vnetHdrSupport());
        return FilterObject.create(
                id, p, at -> new MirrorFilter(network, at, chardevs, p.outdev(), vnet));
    }

    private static FilterObject redirector(
            String id, FilterRedirectorProperties p, Network network, ChardevLookup chardevs)
            throws QmpException {
        boolean vnet = Boolean.TRUE.equals(p.vnetHdrSupport());
        return FilterObject.create(
                id,
                p,
                at -> new RedirectorFilter(network, at, chardevs, p.indev(), p.outdev(), vnet));
    }

    private static FilterObject buffer(
            String id, FilterBufferProperties p, Network network, Vmm vmm) throws QmpException {
        return FilterObject.create(
                id, p, at -> new BufferFilter(network, at, vmm.mainLoop(), p.interval()));
    }

    private static FilterObject dump(String id, FilterDumpProperties p, Network network, Vmm vmm)
            throws QmpException {
        Long most = p.maxlen();
        return FilterObject.create(
                id,
                p,
                at ->
                        new DumpFilter(
                                network,
                                at,
                                vmm.clocks(),
                                p.file(),
                                most == null ? DumpFilter.DEFAULT_LENGTH : most));
    }

    private static FilterObject replay(String id, NetfilterProperties p, Network network)
            throws QmpException {
        return FilterObject.create(id, p, at -> new ReplayFilter(network, at));
    }
}
