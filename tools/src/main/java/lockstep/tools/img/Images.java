package lockstep.tools.img;

import lockstep.api.BlockdevAioOptions;
import lockstep.block.Backends;
import lockstep.block.BlockHost;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.open.LegacyTree;
import lockstep.block.open.NodeOpener;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.replication.ReplicationManager;
import lockstep.block.throttle.ThrottleGroups;
import lockstep.qmp.JsonObject;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.tls.TlsEnd;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

/** Opens images; ends with the program. */
final class Images implements AutoCloseable {
    /**
     * How to open an image.
     *
     * @param options whether its name is options of nodes ({@code --image-opts})
     * @param format null to look at it
     * @param alone without what the image says that is below it
     */
    record Way(
            boolean options,
            @Nullable String format,
            boolean writable,
            CacheMode cache,
            boolean shared,
            boolean alone,
            boolean unmap) {
        /** For reading, as the common options say. */
        static Way reading(Options options) {
            return new Way(
                    options.has("--image-opts"),
                    options.get("f"),
                    false,
                    CacheMode.WRITEBACK,
                    options.has("U"),
                    false,
                    false);
        }

        /** For reading a file of that format. */
        static Way reading(@Nullable String format) {
            return new Way(false, format, false, CacheMode.WRITEBACK, false, false, false);
        }

        Way writing() {
            return new Way(options, format, true, cache, shared, alone, unmap);
        }

        Way unmapping() {
            return new Way(options, format, writable, cache, shared, alone, true);
        }

        Way withoutBacking() {
            return new Way(options, format, writable, cache, shared, true, unmap);
        }

        /** Whoever else uses it. */
        Way sharing() {
            return new Way(options, format, writable, cache, true, alone, unmap);
        }

        Way cached(CacheMode mode) {
            return new Way(options, format, writable, mode, shared, alone, unmap);
        }

        Way as(@Nullable String other) {
            return new Way(options, other, writable, cache, shared, alone, unmap);
        }
    }

    private final Backends backends;
    private final ReplicationManager replication = new ReplicationManager();
    private final SecretObjects secrets = new SecretObjects();
    private final NodeOpener opener;
    private boolean writing;

    Images(Console console) {
        backends = new Backends(new Host(console));
        opener =
                new NodeOpener(
                        backends.graph(),
                        replication,
                        new ThrottleGroups(),
                        QuorumEvents.NONE,
                        () -> false,
                        warning -> {
                            if (writing) {
                                console.plainError("WARNING: " + warning + "\n");
                            }
                        },
                        TlsEnd.Source.NONE,
                        secrets,
                        true);
    }

    /** How requests for files are handed to the kernel where their options do not say; null as is usual. */
    void engine(@Nullable BlockdevAioOptions engine) {
        opener.engine(engine);
    }

    /** Tells the user of damage that is found in passing. */
    private static final class Host implements BlockHost {
        private final Console console;

        Host(Console console) {
            this.console = console;
        }

        @Override
        public void post(Runnable task) {
            task.run();
        }

        @Override
        public void imageCorrupted(
                BlockNode image, String message, long offset, long size, boolean fatal) {
            console.plainError(
                    fatal
                            ? "qcow2: Marking image as corrupt: "
                                    + message
                                    + "; further corruption events will be suppressed\n"
                            : "qcow2: Image is corrupt: "
                                    + message
                                    + "; further non-fatal corruption events will be suppressed\n");
        }
    }

    SecretObjects secrets() {
        return secrets;
    }

    /** From now on images are only looked at from outside. */
    void withoutKeys() {
        opener.withoutKeys();
    }

    Backends backends() {
        return backends;
    }

    BlockGraph graph() {
        return backends.graph();
    }

    /** Uses a node that is open for others of this program; the caller detaches the edge. */
    ChildEdge writer(BlockNode node) throws BlockException {
        return graph().attach(
                        () -> "a copy",
                        "root",
                        Role.ROOT,
                        node,
                        Permission.CONSISTENT_READ | Permission.WRITE | Permission.RESIZE,
                        Permission.ALL & ~(Permission.WRITE | Permission.RESIZE));
    }

    /** Likewise to read from it only. */
    ChildEdge reader(BlockNode node) throws BlockException {
        return graph().attach(
                        () -> "a check",
                        "root",
                        Role.ROOT,
                        node,
                        Permission.CONSISTENT_READ,
                        Permission.ALL & ~(Permission.WRITE | Permission.RESIZE));
    }

    /** Opens an image; what goes wrong names it. */
    Image open(String name, Way way) throws ToolException {
        try {
            return tryOpen(name, way);
        } catch (BlockException e) {
            throw ToolException.of("Could not open '" + name + "': ", e);
        }
    }

    /** Opens an image. */
    Image tryOpen(String name, Way way) throws BlockException {
        return new Image(graph(), name, node(name, way), way.cache.writethrough());
    }

    /** A node for an image, with a reference for the caller. */
    BlockNode node(String name, Way way) throws BlockException {
        writing = way.writable;
        NodeOpener.Inherited inherited =
                new NodeOpener.Inherited(
                        !way.writable,
                        false,
                        way.cache.direct(),
                        way.cache.noFlush(),
                        way.shared,
                        way.unmap,
                        0);
        JsonObject tree = tree(name, way);
        return way.alone ? opener.openTop(tree, inherited) : opener.openLegacy(tree, inherited);
    }

    private static JsonObject tree(String name, Way way) throws BlockException {
        if (!way.options) {
            JsonObject tree = new JsonObject();
            if (way.format != null) {
                tree.put("driver", way.format);
            }
            return tree.put("filename", name);
        }
        OptionText text = OptionText.parse(name, "filename");
        if (name.indexOf('=') < 0) {
            // A text without keys is the name of a node, and there is none.
            throw new BlockException(
                    22, "Cannot find device='" + name + "' nor node-name='" + name + "'");
        }
        try {
            return LegacyTree.tree(text.toMap());
        } catch (QmpException e) {
            throw new BlockException(22, e.description(), e);
        }
    }

    @Override
    public void close() {
        backends.close();
    }
}
