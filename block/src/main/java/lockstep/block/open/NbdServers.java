package lockstep.block.open;

import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsNbd;
import lockstep.block.nbd.NbdDialing;
import lockstep.block.nbd.NbdNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.OpeningLimit;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.qmp.TryLater;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Connects to the NBD servers that a tree names before the tree is opened, while the machine and its monitors go on: a
 * server that says nothing holds up the command alone. What an image names that is below it is not seen here. Machine
 * lock held.
 */
final class NbdServers {
    /** As long the machine waits for one that is about to answer. */
    private static final long MOMENT_MILLIS = 5;

    /** How options become those of a node. */
    interface Reading {
        NbdNode.Options read(BlockdevOptionsNbd nbd) throws BlockException;
    }

    /** What is done with the connections. */
    interface Opening {
        void run() throws BlockException;
    }

    private record Call(NbdDialing dialing, String name, OpeningLimit limit) {}

    private record Wanted(BlockdevOptionsNbd nbd, @Nullable String name, NbdNode.Options node) {}

    private final BlockGraph graph;
    private final Reading reading;
    private final Map<BlockdevOptionsNbd, Call> calls = new HashMap<>();

    NbdServers(BlockGraph graph, Reading reading) {
        this.graph = graph;
        this.reading = reading;
    }

    /** Opens a tree when all its servers have answered, or failed to; until then the command is run again later. */
    void connected(BlockdevOptions options, Opening opening) throws BlockException {
        if (!TryLater.possible()) {
            opening.run();
            return;
        }
        List<Wanted> wanted = new ArrayList<>();
        find(JsonOutputVisitor.toJson(options, BlockdevOptions::write), wanted);
        for (Wanted w : wanted) {
            if (!calls.containsKey(w.nbd())) {
                calls.put(w.nbd(), call(w));
            }
        }
        for (Wanted w : wanted) {
            Call call = calls.get(w.nbd());
            if (call != null && !call.dialing().await(MOMENT_MILLIS)) {
                TryLater.within(Long.MAX_VALUE);
            }
        }
        try {
            for (Wanted w : wanted) {
                explained(w);
            }
            opening.run();
        } finally {
            for (Wanted w : wanted) {
                NbdDialing unused = claim(w.nbd());
                if (unused != null) {
                    unused.drop();
                }
            }
        }
    }

    private Call call(Wanted w) {
        String name = w.name() == null ? graph.autoName() : w.name();
        NbdDialing dialing = new NbdDialing(w.node(), name);
        OpeningLimit limit = graph.limitOpening();
        graph.connecting(
                name,
                w.node().address().toString(),
                dialing::cut,
                NbdNode.patienceSeconds(w.node()));
        return new Call(dialing, name, limit);
    }

    /** Errors when the server did not answer in time. */
    private void explained(Wanted w) throws BlockException {
        Call call = calls.get(w.nbd());
        BlockException failure = call == null ? null : call.dialing().failure();
        if (call != null && failure != null) {
            throw call.limit().explain(failure);
        }
    }

    /** The connection for a node with these options, if there is one; it is the caller's then. */
    @Nullable NbdDialing claim(BlockdevOptionsNbd nbd) {
        Call call = calls.remove(nbd);
        if (call == null) {
            return null;
        }
        call.limit().close();
        graph.connected(call.name());
        return call.dialing();
    }

    private void find(JsonValue value, List<Wanted> found) throws BlockException {
        if (value instanceof JsonArray array) {
            for (JsonValue element : array) {
                find(element, found);
            }
        }
        if (!(value instanceof JsonObject object)) {
            return;
        }
        for (JsonValue member : object.members().values()) {
            find(member, found);
        }
        if (object.get("driver") instanceof JsonString driver && driver.value().equals("nbd")) {
            BlockdevOptions options;
            try {
                options = BlockdevOptions.read(new JsonInputVisitor(object), null);
            } catch (QmpException e) {
                throw new BlockException(Errno.EINVAL, e.description(), e);
            }
            if (options instanceof BlockdevOptions.Nbd nbd) {
                String name = nbd.nodeName();
                if (name != null) {
                    graph.names().checkNodeName(name);
                }
                found.add(new Wanted(nbd.data(), name, reading.read(nbd.data())));
            }
        }
    }
}
