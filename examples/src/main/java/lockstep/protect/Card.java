package lockstep.protect;

import static lockstep.protect.Pairing.numbered;

import lockstep.api.ChardevAddArguments;
import lockstep.api.ChardevBackend;
import lockstep.api.ChardevRemoveArguments;
import lockstep.api.ChardevSocket;
import lockstep.api.ChardevSocketWrapper;
import lockstep.api.ColoCompareProperties;
import lockstep.api.FilterMirrorProperties;
import lockstep.api.FilterRedirectorProperties;
import lockstep.api.InetSocketAddress;
import lockstep.api.InetSocketAddressWrapper;
import lockstep.api.IothreadProperties;
import lockstep.api.NetFilterDirection;
import lockstep.api.NetfilterInsert;
import lockstep.api.ObjectDelArguments;
import lockstep.api.ObjectOptions;
import lockstep.api.QomGetArguments;
import lockstep.api.QomSetArguments;
import lockstep.api.SocketAddressLegacy;
import lockstep.api.YankArguments;
import lockstep.api.YankInstance;
import lockstep.api.YankInstanceChardev;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One network card of the survivor's guest: the character devices on which the secondary gets its input and gives its
 * output, and the filters and the comparison around them.
 */
final class Card {
    /** Ports of two cards' devices differ by that much. */
    private static final int PORTS = 10;

    private static final int COMPARE_PORT = 9001;
    private static final int OUTPUT_PORT = 9005;

    /** How long one who is connected may turn out to be the new secondary. */
    private static final Duration DOUBT = Duration.ofSeconds(1);

    private final Pairing pair;
    private final String netdev;
    private final int index;

    // What the secondary connects to.
    private final String mirror;
    private final String output;

    private final String thread;
    private final String comparison;

    /** They pass nothing to anybody before the guest stands: until then it has nobody to be compared with. */
    private final List<String> filters;

    /** The card behind the survivor's {@code index}-th network backend. */
    Card(Pairing pair, String netdev, int index) {
        this.pair = pair;
        this.netdev = netdev;
        this.index = index;
        this.mirror = id("mirror0");
        this.output = id("compare1");
        this.thread = id("iothread1");
        this.comparison = id("comp0");
        this.filters = List.of(id("m0"), id("redire0"), id("redire1"));
    }

    private String id(String first) {
        return numbered(first, index);
    }

    /** Takes away what compared an earlier pair: it holds that pair's character devices. */
    void removeFilters() throws QmpException, IOException {
        Set<String> there = pair.objects().keySet();
        if (there.contains(comparison)) {
            remove(comparison);
        }
        for (String id : filters) {
            if (there.contains(id)) {
                remove(id);
            }
        }
    }

    private void remove(String object) throws QmpException, IOException {
        pair.survivor().objectDel(new ObjectDelArguments(object));
    }

    // ---- character devices

    /** Makes the character devices. Those of an earlier pair stay where they serve. */
    void addDevices() throws QmpException, IOException {
        Map<String, Channel> there = Channel.of(pair.survivor());
        Map<String, Channel> theirs = Channel.of(pair.secondary());
        serve(mirror, Setting.MIRROR_PORT, there, theirs);
        serve(output, Setting.COMPARE_PORT, there, theirs);
        loop("compare0", COMPARE_PORT, there);
        loop("compare_out", OUTPUT_PORT, there);
    }

    /**
     * What the secondary connects to. Taken from under it, a filter of a QEMU would read no more, so a device to which it
     * is connected stays.
     */
    private void serve(
            String id, Setting setting, Map<String, Channel> there, Map<String, Channel> theirs)
            throws QmpException, IOException {
        String host = pair.get(Setting.LISTEN);
        String port = port(setting);
        String credentials = pair.secrecy().server();
        Channel old = there.get(id);
        if (old != null) {
            boolean serves = old.at(host, port);
            if (serves && old.reaches(theirs)) {
                if (credentials != null) {
                    pair.tell(id + " is connected already: whether by TLS is not known");
                }
                return;
            }
            if (serves && credentials == null) {
                return;
            }
            pair.survivor().chardevRemove(new ChardevRemoveArguments(id));
        }
        add(id, server(host, port).tlsCreds(credentials));
    }

    private String port(Setting setting) throws QmpException {
        String first = pair.get(setting);
        if (index == 0) {
            return first;
        }
        try {
            return Integer.toString(Integer.parseInt(first) + index * PORTS);
        } catch (NumberFormatException e) {
            throw new QmpException(
                    setting.option + " must be a number where there are several cards");
        }
    }

    /** Two ends inside the survivor. */
    private void loop(String first, int firstPort, Map<String, Channel> there)
            throws QmpException, IOException {
        List<String> ends = List.of(id(first), id(first + (first.endsWith("0") ? "-0" : "0")));
        if (ends.stream().allMatch(e -> there.containsKey(e) && there.get(e).connected())) {
            return;
        }
        for (String end : ends) {
            if (there.containsKey(end)) {
                pair.survivor().chardevRemove(new ChardevRemoveArguments(end));
            }
        }
        String port = Integer.toString(firstPort + index * PORTS);
        add(ends.getFirst(), server("127.0.0.1", port));
        add(ends.getLast(), ChardevSocket.builder().addr(address("127.0.0.1", port)).server(false));
    }

    private static ChardevSocket.Builder server(String host, String port) {
        return ChardevSocket.builder().addr(address(host, port)).server(true).wait_(false);
    }

    private static SocketAddressLegacy address(String host, String port) {
        return new SocketAddressLegacy.Inet(
                new InetSocketAddressWrapper(
                        InetSocketAddress.builder().host(host).port(port).build()));
    }

    private void add(String id, ChardevSocket.Builder socket) throws QmpException, IOException {
        pair.survivor()
                .chardevAdd(
                        new ChardevAddArguments(
                                id,
                                new ChardevBackend.Socket(
                                        new ChardevSocketWrapper(socket.build()))));
        pair.undo().push(() -> pair.survivor().chardevRemove(new ChardevRemoveArguments(id)));
    }

    /**
     * Waits until the secondary is connected: without it each packet would wait for one that never answers. Where the
     * earlier one is still connected, because its end was never heard of, that connection is cut.
     */
    void awaitSecondary() throws QmpException, IOException {
        for (String id : List.of(mirror, output)) {
            Waiting end = pair.waiting("the secondary did not connect to character device " + id);
            Waiting doubt = new Waiting(DOUBT, "");
            while (true) {
                Channel channel = Channel.of(pair.survivor()).get(id);
                if (channel == null) {
                    throw new QmpException("character device " + id + " is gone");
                }
                boolean strange = channel.keepsWaiting(Channel.of(pair.secondary()));
                if (channel.connected() && !strange) {
                    break;
                }
                if (strange && doubt.over()) {
                    YankInstance stale = new YankInstance.Chardev(new YankInstanceChardev(id));
                    pair.survivor().yank(new YankArguments(List.of(stale)));
                }
                end.at(0);
            }
        }
    }

    // ---- filters

    /** Makes the filters, which are off, and the comparison. */
    void addFilters() throws QmpException, IOException {
        FilterMirrorProperties.Builder mirrors =
                FilterMirrorProperties.builder()
                        .netdev(netdev)
                        .status("off")
                        .queue(NetFilterDirection.TX)
                        .outdev(mirror);
        FilterRedirectorProperties.Builder back =
                FilterRedirectorProperties.builder()
                        .netdev(netdev)
                        .status("off")
                        .queue(NetFilterDirection.RX)
                        .indev(id("compare_out"));
        FilterRedirectorProperties.Builder away =
                FilterRedirectorProperties.builder()
                        .netdev(netdev)
                        .status("off")
                        .queue(NetFilterDirection.RX)
                        .outdev(id("compare0"));
        String rewriter = rewriter();
        if (rewriter != null) {
            // What a secondary was keeps the rewriter of its connections; the others see what the
            // client sees.
            String place = "id=" + rewriter;
            mirrors.position(place).insert(NetfilterInsert.BEFORE);
            back.position(place).insert(NetfilterInsert.BEFORE);
            away.position(place).insert(NetfilterInsert.BEFORE);
        }
        add(filters.get(0), new ObjectOptions.FilterMirror(filters.get(0), mirrors.build()));
        add(filters.get(1), new ObjectOptions.FilterRedirector(filters.get(1), back.build()));
        add(filters.get(2), new ObjectOptions.FilterRedirector(filters.get(2), away.build()));
        if (!pair.objects().containsKey(thread)) {
            add(thread, new ObjectOptions.Iothread(thread, IothreadProperties.builder().build()));
        }
        add(
                comparison,
                new ObjectOptions.ColoCompare(
                        comparison,
                        ColoCompareProperties.builder()
                                .primaryIn(id("compare0-0"))
                                .secondaryIn(output)
                                .outdev(id("compare_out0"))
                                .iothread(thread)
                                .build()));
    }

    private void add(String id, ObjectOptions object) throws QmpException, IOException {
        pair.survivor().objectAdd(object);
        pair.undo().push(() -> remove(id));
    }

    /** That of the card's connections from the time when the survivor was a secondary. */
    private @Nullable String rewriter() throws QmpException, IOException {
        for (Map.Entry<String, String> object : pair.objects().entrySet()) {
            if (object.getValue().equals("filter-rewriter")
                    && pair.survivor()
                            .qomGet(new QomGetArguments("/objects/" + object.getKey(), "netdev"))
                            .equals(new JsonString(netdev))) {
                return object.getKey();
            }
        }
        return null;
    }

    void switchOn() throws QmpException, IOException {
        for (String id : filters) {
            pair.survivor()
                    .qomSet(new QomSetArguments("/objects/" + id, "status", new JsonString("on")));
        }
    }
}
