package lockstep.block.monitor;

import lockstep.api.BlockCoreCommands;
import lockstep.api.BlockDeviceInfo;
import lockstep.api.BlockDirtyBitmapOrStr;
import lockstep.api.BlockExportCommands;
import lockstep.api.BlockExportDelArguments;
import lockstep.api.BlockExportInfo;
import lockstep.api.BlockExportOptions;
import lockstep.api.BlockExportRemoveMode;
import lockstep.api.BlockExportType;
import lockstep.api.BlockInfo;
import lockstep.api.BlockResizeArguments;
import lockstep.api.BlockSetWriteThresholdArguments;
import lockstep.api.BlockStats;
import lockstep.api.BlockdevDelArguments;
import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevReopenArguments;
import lockstep.api.NbdServerAddOptions;
import lockstep.api.NbdServerOptionsLegacy;
import lockstep.api.NbdServerRemoveArguments;
import lockstep.api.QueryBlockstatsArguments;
import lockstep.api.QueryNamedBlockNodesArguments;
import lockstep.api.SocketAddressLegacy;
import lockstep.api.XBlockdevChangeArguments;
import lockstep.api.XDbgBlockGraph;
import lockstep.block.BlockBackend;
import lockstep.block.drive.BlockManager;
import lockstep.block.export.NbdServer;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.DirtyBitmap;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The QMP commands of block-core and block-export. Main loop, machine lock held. */
final class BlockQmp implements BlockCoreCommands, BlockExportCommands {

    private final BlockManager manager;
    private final NodeQueries queries;

    BlockQmp(BlockManager manager) {
        this.manager = manager;
        this.queries = new NodeQueries(manager.backends());
    }

    NodeQueries queries() {
        return queries;
    }

    private interface Action {
        void run() throws BlockException;
    }

    /** Runs something and turns its failure into a client's error. */
    private static void qmp(Action action) throws QmpException {
        try {
            action.run();
        } catch (BlockException e) {
            throw failure(e);
        }
    }

    private static QmpException failure(BlockException e) {
        return new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
    }

    @Override
    public List<BlockInfo> queryBlock() {
        return queries.blocks();
    }

    @Override
    public List<BlockStats> queryBlockstats(QueryBlockstatsArguments arguments) {
        return queries.statistics(Boolean.TRUE.equals(arguments.queryNodes()));
    }

    @Override
    public List<BlockDeviceInfo> queryNamedBlockNodes(QueryNamedBlockNodesArguments arguments) {
        return queries.named(Boolean.TRUE.equals(arguments.flat()));
    }

    @Override
    public void blockdevAdd(BlockdevOptions options) throws QmpException {
        qmp(() -> manager.nodes().add(options));
    }

    @Override
    public void blockdevReopen(BlockdevReopenArguments arguments) throws QmpException {
        for (BlockdevOptions options : arguments.options()) {
            qmp(() -> manager.nodes().reopen(options));
        }
    }

    @Override
    public void blockSetWriteThreshold(BlockSetWriteThresholdArguments arguments)
            throws QmpException {
        qmp(
                () ->
                        manager.nodes()
                                .setWriteThreshold(
                                        arguments.nodeName(), arguments.writeThreshold()));
    }

    @Override
    public void blockdevDel(BlockdevDelArguments arguments) throws QmpException {
        qmp(() -> manager.nodes().delete(arguments.nodeName()));
    }

    @Override
    public void xBlockdevChange(XBlockdevChangeArguments arguments) throws QmpException {
        qmp(() -> manager.nodes().change(arguments.parent(), arguments.child(), arguments.node()));
    }

    @Override
    public void blockResize(BlockResizeArguments arguments) throws QmpException {
        qmp(
                () ->
                        manager.nodes()
                                .resize(
                                        arguments.device(),
                                        arguments.nodeName(),
                                        arguments.size()));
    }

    private static NbdAddress address(SocketAddressLegacy address) throws BlockException {
        return switch (address) {
            case SocketAddressLegacy.Unrecognized u -> throw new AssertionError(u);
            case SocketAddressLegacy.Inet inet -> NbdAddress.inet(inet.data().data());
            case SocketAddressLegacy.Unix unix -> new NbdAddress.Unix(unix.data().data().path());
            case SocketAddressLegacy.Vsock ignored ->
                    throw new BlockException(
                            lockstep.runtime.linux.Errno.ENOTSUP,
                            "vsock addresses are not supported");
            case SocketAddressLegacy.Fd ignored ->
                    throw new BlockException(
                            lockstep.runtime.linux.Errno.ENOTSUP,
                            "file descriptor addresses are not supported here");
        };
    }

    /** No node has any. */
    private List<DirtyBitmap> exported(
            BlockNode node, boolean writable, List<BlockDirtyBitmapOrStr> bitmaps)
            throws BlockException {
        return new BitmapQmp(manager.graph()).exported(node, writable, bitmaps);
    }

    @Override
    public void nbdServerStart(NbdServerOptionsLegacy arguments) throws QmpException {
        qmp(() -> manager.exports().startServer(address(arguments.addr()), arguments));
    }

    @Override
    public void nbdServerAdd(NbdServerAddOptions arguments) throws QmpException {
        String device = arguments.device();
        String name = arguments.name() == null ? device : arguments.name();
        String description = arguments.description();
        qmp(
                () -> {
                    BlockBackend backend = manager.backends().find(device);
                    BlockNode node = manager.graph().names().lookup(device);
                    manager.exports().requireServer();
                    manager.exports().checkId(name);
                    boolean writable =
                            Boolean.TRUE.equals(arguments.writable()) && !node.readOnly();
                    List<BlockDirtyBitmapOrStr> bitmaps =
                            arguments.bitmap() == null
                                    ? List.of()
                                    : List.of(new BlockDirtyBitmapOrStr.Local(arguments.bitmap()));
                    manager.exports()
                            .add(
                                    new NbdServer.Request(
                                            name,
                                            name,
                                            description == null ? "" : description,
                                            writable,
                                            false,
                                            false,
                                            false,
                                            exported(node, writable, bitmaps)),
                                    node,
                                    backend);
                });
    }

    private static boolean hard(@Nullable BlockExportRemoveMode mode) {
        return mode == BlockExportRemoveMode.HARD;
    }

    @Override
    public void nbdServerRemove(NbdServerRemoveArguments arguments) throws QmpException {
        qmp(() -> manager.exports().delete(arguments.name(), hard(arguments.mode())));
    }

    @Override
    public void nbdServerStop() throws QmpException {
        qmp(manager.exports()::stopServer);
    }

    @Override
    public void blockExportAdd(BlockExportOptions arguments) throws QmpException {
        switch (arguments) {
            case BlockExportOptions.Unrecognized u -> throw new AssertionError(u);
            case BlockExportOptions.Nbd nbd -> {
                String name = nbd.data().name();
                String description = nbd.data().description();
                qmp(
                        () -> {
                            manager.exports().checkId(nbd.id());
                            BlockNode node = manager.graph().names().lookup("", nbd.nodeName());
                            if (nbd.iothread() != null) {
                                throw new BlockException(
                                        lockstep.runtime.linux.Errno.ENOTSUP,
                                        "iothread of an export is not supported");
                            }
                            manager.exports().requireServer();
                            List<BlockDirtyBitmapOrStr> bitmaps = nbd.data().bitmaps();
                            boolean writable = Boolean.TRUE.equals(nbd.writable());
                            manager.exports()
                                    .add(
                                            new NbdServer.Request(
                                                    nbd.id(),
                                                    name == null ? nbd.nodeName() : name,
                                                    description == null ? "" : description,
                                                    writable,
                                                    Boolean.TRUE.equals(nbd.writethrough()),
                                                    Boolean.TRUE.equals(nbd.allowInactive()),
                                                    Boolean.TRUE.equals(
                                                            nbd.data().allocationDepth()),
                                                    exported(
                                                            node,
                                                            writable,
                                                            bitmaps == null ? List.of() : bitmaps)),
                                            node,
                                            null);
                        });
            }
        }
    }

    @Override
    public void blockExportDel(BlockExportDelArguments arguments) throws QmpException {
        qmp(() -> manager.exports().delete(arguments.id(), hard(arguments.mode())));
    }

    @Override
    public List<BlockExportInfo> queryBlockExports() {
        return manager.exports().all().stream()
                .map(
                        export ->
                                new BlockExportInfo(
                                        export.id(),
                                        BlockExportType.NBD,
                                        export.nodeName(),
                                        export.shuttingDown()))
                .toList();
    }

    @Override
    public XDbgBlockGraph xDebugQueryBlockGraph() {
        return GraphPicture.of(manager.backends());
    }
}
