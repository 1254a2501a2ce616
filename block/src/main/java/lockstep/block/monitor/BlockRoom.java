package lockstep.block.monitor;

import lockstep.api.BlockCommands;
import lockstep.api.BlockCoreCommands;
import lockstep.api.BlockErrorAction;
import lockstep.api.BlockExportCommands;
import lockstep.api.BlockExportDeletedEvent;
import lockstep.api.BlockImageCorruptedEvent;
import lockstep.api.BlockIoErrorEvent;
import lockstep.api.BlockJobCommands;
import lockstep.api.BlockWriteThresholdEvent;
import lockstep.api.BlockdevDriver;
import lockstep.api.BlockdevOptions;
import lockstep.api.DeviceTrayMovedEvent;
import lockstep.api.IoOperationType;
import lockstep.api.JobCommands;
import lockstep.api.ObjectOptions;
import lockstep.api.QuorumFailureEvent;
import lockstep.api.QuorumOpType;
import lockstep.api.QuorumReportBadEvent;
import lockstep.api.RunState;
import lockstep.api.SnapshotCommands;
import lockstep.api.TransactionCommands;
import lockstep.api.YankInstance;
import lockstep.api.YankInstanceBlockNode;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.BlockHost;
import lockstep.block.BlockLayer;
import lockstep.block.DriveInfo;
import lockstep.block.ErrorAction;
import lockstep.block.ReplicationControl;
import lockstep.block.drive.BlockEnding;
import lockstep.block.drive.BlockManager;
import lockstep.block.job.Jobs;
import lockstep.block.luks.Secrets;
import lockstep.block.nbd.NbdNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.quorum.QuorumEvents;
import lockstep.block.quorum.QuorumNode;
import lockstep.block.throttle.ThrottleGroupObject;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.RunListener;
import lockstep.runtime.object.Secret;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.spi.DiskHandover;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.SavedMachines;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.tls.TlsEnd;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The block room's place in the process. */
public final class BlockRoom implements Room {
    /** For the ServiceLoader. */
    public BlockRoom() {}

    @Override
    public int order() {
        return 10;
    }

    @Override
    public void install(Registration offer, Vmm vmm) {
        BlockManager manager =
                new BlockManager(
                        new Host(vmm),
                        new Events(vmm),
                        () -> vmm.run().state() == RunState.INMIGRATE,
                        vmm::warn,
                        id -> vmm.emit(new BlockExportDeletedEvent(id)));
        vmm.publish(BlockLayer.class, manager);
        vmm.publish(ReplicationControl.class, manager.replication());
        vmm.publish(DiskHandover.class, new Handover(manager.backends()));
        vmm.publish(BitmapHandover.class, new BitmapMigration(manager.backends(), vmm::report));
        manager.graph().setObserver(new YankObserver(vmm));
        BlockQmp qmp = new BlockQmp(manager);
        BlockCoreCommands.register(offer.commands(), qmp);
        BlockExportCommands.register(offer.commands(), qmp);
        BlockCommands.register(offer.commands(), new MediaQmp(manager, manager.media()));
        Jobs jobs = new Jobs(manager.graph(), vmm::emit);
        DriveMirroring mirroring = new DriveMirroring(manager, jobs);
        JobQmp jobCommands =
                new JobQmp(
                        jobs,
                        mirroring,
                        new Backups(manager.nodes().opener(), jobs),
                        new NewImages(manager.graph(), manager.nodes().opener()),
                        new Snapshots(manager.graph(), manager.nodes().opener()),
                        new InternalSnapshots(
                                manager.graph(),
                                () -> vmm.mainLoop().clocks().now(ClockType.VIRTUAL)));
        JobCommands.register(offer.commands(), jobCommands);
        BlockJobCommands.register(offer.commands(), jobCommands);
        TransactionCommands.register(offer.commands(), jobCommands);
        new BlockHmp(manager, qmp.queries(), mirroring).register(vmm.hmp());
        new JobHmp(jobCommands).register(vmm.hmp());
        MachineSnapshots machineSnapshots = new MachineSnapshots(manager.backends(), jobs, vmm);
        vmm.publish(SavedMachines.class, machineSnapshots);
        SnapshotCommands.register(offer.commands(), machineSnapshots);
        new SnapshotHmp(machineSnapshots).register(vmm.hmp());
        offer.objectType(
                ThrottleGroupObject.TYPE,
                ObjectOptions.ThrottleGroup.class,
                (options, process) -> ThrottleGroupObject.create(options, manager.throttles()));
        options(offer, vmm, manager);
        vmm.run()
                .addListener(
                        RunListener.BLOCK,
                        new RunListener() {
                            @Override
                            public void changed(boolean running, RunState state) {
                                manager.machineResumed();
                            }

                            @Override
                            public boolean stopped(RunState state, long patience) {
                                return manager.machineStopped(patience);
                            }
                        });
        vmm.run().addStartCheck(vmm.service(DiskHandover.class)::activateAll);
        offer.onExit(new BlockEnding(manager, jobs, vmm::report));
    }

    private record Handover(Backends backends) implements DiskHandover {
        @Override
        public void activateAll() throws QmpException {
            try {
                backends.graph().activateAll();
            } catch (BlockException e) {
                throw failure(e);
            }
        }

        @Override
        public void inactivateAll() throws QmpException {
            backends.drain();
            try {
                backends.graph().inactivateAll();
            } catch (BlockException e) {
                throw failure(e);
            }
        }

        private static QmpException failure(BlockException e) {
            return new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    private static final class Host implements BlockHost {
        private final Vmm vmm;

        Host(Vmm vmm) {
            this.vmm = vmm;
        }

        @Override
        public void post(Runnable task) {
            vmm.mainLoop().execute(task);
        }

        @Override
        public EventLoop loop() {
            return vmm.mainLoop();
        }

        @Override
        public void ioError(BlockBackend backend, boolean read, ErrorAction action, int errno) {
            String device = backend.device() == null ? "" : backend.device();
            BlockNode root = backend.root();
            vmm.emit(
                    new BlockIoErrorEvent(
                            device.startsWith("/") ? device : "/machine/peripheral/" + device,
                            backend.name(),
                            root == null || root.name().startsWith("#") ? null : root.name(),
                            read ? IoOperationType.READ : IoOperationType.WRITE,
                            switch (action) {
                                case IGNORE -> BlockErrorAction.IGNORE;
                                case STOP -> BlockErrorAction.STOP;
                                default -> BlockErrorAction.REPORT;
                            },
                            backend.errors().hasStatus()
                                    ? Boolean.valueOf(errno == Errno.ENOSPC)
                                    : null,
                            Errno.text(errno)));
        }

        @Override
        public void thresholdExceeded(BlockNode node, long bytes, long threshold) {
            vmm.emit(new BlockWriteThresholdEvent(node.name(), bytes, threshold));
        }

        @Override
        public void imageCorrupted(
                BlockNode image, String message, long offset, long size, boolean fatal) {
            vmm.warn(
                    fatal
                            ? "qcow2: Marking image as corrupt: "
                                    + message
                                    + "; further corruption events will be suppressed"
                            : "qcow2: Image is corrupt: "
                                    + message
                                    + "; further non-fatal corruption events will be suppressed");
            vmm.emit(
                    new BlockImageCorruptedEvent(
                            image.device(),
                            image.name(),
                            message,
                            offset < 0 ? null : Long.valueOf(offset),
                            size < 0 ? null : Long.valueOf(size),
                            fatal));
        }

        @Override
        public void trayMoved(BlockBackend backend, boolean open) {
            String device = backend.device();
            vmm.emit(new DeviceTrayMovedEvent(backend.name(), device == null ? "" : device, open));
        }

        @Override
        public TlsEnd.Source tlsEnds() {
            return TlsEnd.Source.of(vmm.objects(), vmm.lock());
        }

        @Override
        public Secrets secrets() {
            return id -> {
                Secret secret = vmm.objects().object(id, Secret.class);
                return secret == null ? Secrets.NONE.find(id) : secret.content();
            };
        }

        @Override
        public void waiting(String message) {
            vmm.warn(message);
        }

        @Override
        public void stopForIoError() {
            // Later: stopping waits for requests, and the one that failed is among them until this
            // returns.
            vmm.mainLoop().execute(() -> vmm.run().requestStop(RunState.IO_ERROR));
        }
    }

    private static final class Events implements QuorumEvents {
        private final Vmm vmm;

        Events(Vmm vmm) {
            this.vmm = vmm;
        }

        private static long sectors(long offset, long length) {
            return (offset + length + 511) / 512 - offset / 512;
        }

        @Override
        public void badChild(
                Operation operation, int errno, String nodeName, long offset, long length) {
            QuorumOpType type =
                    switch (operation) {
                        case READ -> QuorumOpType.READ;
                        case WRITE -> QuorumOpType.WRITE;
                        case FLUSH -> QuorumOpType.FLUSH;
                    };
            vmm.emit(
                    new QuorumReportBadEvent(
                            type,
                            errno == 0 ? null : Errno.text(errno),
                            nodeName,
                            offset / 512,
                            sectors(offset, length)));
        }

        @Override
        public void failure(QuorumNode node, long offset, long length) {
            vmm.emit(
                    new QuorumFailureEvent(
                            node.deviceOrName(), offset / 512, sectors(offset, length)));
        }
    }

    private static final class YankObserver implements BlockGraph.Observer {
        private final Vmm vmm;

        YankObserver(Vmm vmm) {
            this.vmm = vmm;
        }

        private static YankInstance instance(String node) {
            return new YankInstance.BlockNode(new YankInstanceBlockNode(node));
        }

        @Override
        public void connecting(String node, Runnable cut) {
            vmm.yank().add(instance(node), cut);
        }

        @Override
        public void connected(String node) {
            vmm.yank().unregister(instance(node));
        }

        @Override
        public void added(BlockNode node) {
            if (node instanceof NbdNode nbd) {
                vmm.yank().register(instance(node.name()));
                vmm.yank().add(instance(node.name()), nbd::cut);
            }
        }

        @Override
        public void removed(BlockNode node) {
            if (node instanceof NbdNode) {
                vmm.yank().unregister(instance(node.name()));
            }
        }
    }

    // Command line

    private interface Apply {
        void apply(String argument) throws BlockException, QmpException, OptionException;
    }

    private static OptionHandler option(
            List<String> names, StartPhase phase, String help, Apply apply) {
        return new OptionHandler() {
            @Override
            public List<String> names() {
                return names;
            }

            @Override
            public StartPhase phase() {
                return phase;
            }

            @Override
            public void apply(String argument) throws OptionException {
                try {
                    apply.apply(argument);
                } catch (BlockException e) {
                    throw new OptionException(
                            e.getMessage() + (e.hint().isEmpty() ? "" : "\n" + e.hint()));
                } catch (QmpException e) {
                    throw new OptionException(e.description());
                }
            }

            @Override
            public String help() {
                return help;
            }
        };
    }

    private static void options(Registration offer, Vmm vmm, BlockManager manager) {
        offer.option(
                option(
                        List.of("blockdev"),
                        StartPhase.BLOCK,
                        "-blockdev [driver=]driver[,node-name=N][,...]\n"
                                + "                configure a block backend\n",
                        text -> manager.nodes().add(blockdev(text))));
        offer.option(
                option(
                        List.of("drive"),
                        StartPhase.BLOCK,
                        "-drive [file=file][,if=type][,bus=n][,unit=m][,media=d][,index=i]\n"
                                + "       [,cache=mode][,format=f][,rerror=ignore|stop|report]\n"
                                + "       [,werror=ignore|stop|report|enospc][,id=name]...\n"
                                + "                use 'file' as a drive image\n",
                        text -> {
                            String format = OptionText.parse(text, null).toMap().get("format");
                            if (format != null && TypeHelp.askedForTypes(format)) {
                                throw new EndOfProgram(drivers());
                            }
                            manager.addDrive(text, Map.of(), "ide");
                        }));
        offer.option(
                new OptionHandler() {
                    @Override
                    public List<String> names() {
                        return List.of("snapshot");
                    }

                    @Override
                    public boolean takesArgument() {
                        return false;
                    }

                    @Override
                    public StartPhase phase() {
                        return StartPhase.EARLY_OBJECTS;
                    }

                    @Override
                    public void apply(String argument) {
                        manager.useSnapshots();
                    }

                    @Override
                    public String help() {
                        return "-snapshot       write to temporary files instead of disk image"
                                + " files\n";
                    }
                });
        String[] disks = {"hda", "hdb", "hdc", "hdd"};
        for (int i = 0; i < disks.length; i++) {
            String index = Integer.toString(i);
            offer.option(
                    option(
                            List.of(disks[i]),
                            StartPhase.BLOCK,
                            "-"
                                    + disks[i]
                                    + " file    use 'file' as hard disk "
                                    + index
                                    + " image\n",
                            text ->
                                    manager.addDrive(
                                            "",
                                            Map.of("index", index, "media", "disk", "file", text),
                                            "ide")));
        }
        offer.option(
                option(
                        List.of("cdrom"),
                        StartPhase.BLOCK,
                        "-cdrom file     use 'file' as CD-ROM image\n",
                        text ->
                                manager.addDrive(
                                        "",
                                        Map.of("index", "2", "media", "cdrom", "file", text),
                                        "ide")));
        String[] floppies = {"fda", "fdb"};
        for (int i = 0; i < floppies.length; i++) {
            String index = Integer.toString(i);
            offer.option(
                    option(
                            List.of(floppies[i]),
                            StartPhase.BLOCK,
                            "-"
                                    + floppies[i]
                                    + " file    use 'file' as floppy disk "
                                    + index
                                    + " image\n",
                            text ->
                                    manager.addDrive(
                                            "", Map.of("index", index, "file", text), "floppy")));
        }
        offer.option(new UnclaimedDrives(vmm, manager));
    }

    private static String drivers() {
        return Stream.of(BlockdevDriver.values())
                .map(BlockdevDriver::wireName)
                .sorted()
                .collect(Collectors.joining(" ", "Supported formats: ", "\n"));
    }

    private static BlockdevOptions blockdev(String text) throws QmpException {
        if (text.startsWith("{")) {
            return BlockdevOptions.read(new JsonInputVisitor(JsonStreamParser.parse(text)), null);
        }
        return BlockdevOptions.read(
                new KeyvalInputVisitor(
                        KeyvalText.parse(text, "driver"), KeyvalInputVisitor.Style.KEYVAL),
                null);
    }

    /**
     * No option: refuses to start when a drive names an interface that no device of the machine
     * took.
     */
    private record UnclaimedDrives(Vmm vmm, BlockManager manager) implements OptionHandler {
        @Override
        public List<String> names() {
            return List.of();
        }

        @Override
        public StartPhase phase() {
            return StartPhase.LAUNCH;
        }

        @Override
        public void apply(String argument) {}

        @Override
        public void finish() throws OptionException {
            if (vmm.machine() == null) {
                return;
            }
            for (DriveInfo drive : manager.unclaimed()) {
                throw new OptionException(
                        "machine type does not support if="
                                + drive.type()
                                + ",bus="
                                + drive.bus()
                                + ",unit="
                                + drive.unit(),
                        false);
            }
        }
    }
}
