package lockstep.block.monitor;

import lockstep.api.BlockDeviceInfo;
import lockstep.api.BlockDeviceIoStatus;
import lockstep.api.BlockInfo;
import lockstep.api.BlockStats;
import lockstep.api.BlockdevDetectZeroesOptions;
import lockstep.api.DriveMirror;
import lockstep.api.ImageInfo;
import lockstep.api.MirrorSyncMode;
import lockstep.api.NbdServerOptionsBase;
import lockstep.api.NewImageMode;
import lockstep.api.ThrottleLimits;
import lockstep.block.BlockBackend;
import lockstep.block.drive.BlockManager;
import lockstep.block.drive.MediaChanger;
import lockstep.block.export.NbdServer;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpTable;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The human monitor's block commands. Main loop, machine lock held. */
final class BlockHmp {
    private final BlockManager manager;
    private final NodeQueries queries;
    private final DriveMirroring mirroring;

    BlockHmp(BlockManager manager, NodeQueries queries, DriveMirroring mirroring) {
        this.mirroring = mirroring;
        this.manager = manager;
        this.queries = queries;
    }

    void register(HmpTable table) {
        table.add(
                "drive_add",
                "node:-n,pci_addr:s,opts:s",
                "[-n] [[<domain>:]<bus>:]<slot>\n"
                        + "[file=file][,if=type][,bus=n]\n"
                        + "[,unit=m][,media=d][,index=i]\n"
                        + "[,snapshot=on|off][,cache=on|off]\n"
                        + "[,readonly=on|off][,copy-on-read=on|off]",
                "make a drive, or a block node with -n",
                this::driveAdd);
        table.add(
                "drive_del",
                "id:B",
                "device",
                "delete a drive or a block node",
                (arguments, output) ->
                        plainly(output, () -> manager.deleteDrive(arguments.string("id"))));
        table.add(
                "qemu-io",
                "qdev:-d,device:B,command:s",
                "[-d] [device] \"[command]\"",
                "read, write and look at a disk, or hold requests of a blkdebug node up"
                        + " (command help: all commands)",
                new DiskCommands(manager, System.out)::run);
        table.add(
                "eject",
                "force:-f,device:B",
                "[-f] device",
                "take a medium out (-f: also of a tray that the guest has locked)",
                (arguments, output) ->
                        manager.media()
                                .eject(arguments.string("device"), null, arguments.flag("force")));
        table.add(
                "change",
                "device:B,force:-f,target:F,format:s?,read-only-mode:s?",
                "device [-f] filename [format [read-only-mode]]",
                "put another medium in (-f: also into a tray that the guest has locked)",
                this::change);
        table.add(
                "drive_mirror",
                "reuse:-n,full:-f,device:B,target:s,format:s?",
                "[-n] [-f] device target [format]",
                "copy a drive to an image and go on with what is written (-n: to an image that is"
                        + " there; -f: the whole disk, so that the copy has no backing file)",
                this::mirror);
        table.add(
                "block_resize",
                "device:B,size:o",
                "device size",
                "change the size of an image",
                (arguments, output) ->
                        manager.nodes()
                                .resize(
                                        arguments.string("device"),
                                        null,
                                        arguments.integer("size", -1)));
        table.add(
                "block_set_io_throttle",
                "device:B,bps:l,bps_rd:l,bps_wr:l,iops:l,iops_rd:l,iops_wr:l",
                "device bps bps_rd bps_wr iops iops_rd iops_wr",
                "limit the requests of a drive",
                this::throttle);
        table.add(
                "nbd_server_start",
                "all:-a,writable:-w,uri:s",
                "nbd_server_start [-a] [-w] host:port",
                "start the NBD server (-a: export all drives, -w: writable)",
                this::serverStart);
        table.add(
                "nbd_server_add",
                "writable:-w,device:B,name:s?",
                "nbd_server_add [-w] device [name]",
                "export a drive over NBD (-w: writable)",
                (arguments, output) ->
                        export(
                                arguments.string("device"),
                                arguments.optional("name"),
                                arguments.flag("writable")));
        table.add(
                "nbd_server_remove",
                "force:-f,name:s",
                "nbd_server_remove [-f] name",
                "end an NBD export (-f: with clients connected)",
                (arguments, output) ->
                        manager.exports()
                                .delete(arguments.string("name"), arguments.flag("force")));
        table.add(
                "nbd_server_stop",
                "",
                "nbd_server_stop",
                "end the NBD server and its exports",
                (arguments, output) -> manager.exports().stopServer());
        table.addInfo(
                "block",
                "nodes:-n,verbose:-v,device:B?",
                "[-n] [-v] [device]",
                "drives and what is in them (-n: nodes as well; -v: images in full)",
                this::infoBlock);
        table.addInfo(
                "blockstats",
                "",
                "",
                "counters of the drives",
                (arguments, output) -> infoStats(output));
    }

    private interface Action {
        void run() throws BlockException;
    }

    /** For commands whose errors are shown without a word in front of them. */
    private static void plainly(StringBuilder output, Action action) {
        try {
            action.run();
        } catch (BlockException e) {
            output.append(e.getMessage()).append('\n');
        }
    }

    private void driveAdd(HmpArguments arguments, StringBuilder output) {
        String options = arguments.string("opts");
        plainly(
                output,
                () -> {
                    if (arguments.flag("node")) {
                        manager.nodes().addFromText(options);
                    } else {
                        output.append(manager.hotAddDrive(options));
                    }
                });
    }

    private void mirror(HmpArguments arguments, StringBuilder output) throws BlockException {
        mirroring.start(
                DriveMirror.builder()
                        .device(arguments.string("device"))
                        .target(arguments.string("target"))
                        .format(arguments.optional("format"))
                        .sync(arguments.flag("full") ? MirrorSyncMode.FULL : MirrorSyncMode.TOP)
                        .mode(
                                arguments.flag("reuse")
                                        ? NewImageMode.EXISTING
                                        : NewImageMode.ABSOLUTE_PATHS)
                        .build());
    }

    private void change(HmpArguments arguments, StringBuilder output) throws BlockException {
        String text = arguments.optional("read-only-mode");
        MediaChanger.Mode mode =
                switch (text) {
                    case null -> MediaChanger.Mode.RETAIN;
                    case "retain" -> MediaChanger.Mode.RETAIN;
                    case "read-only" -> MediaChanger.Mode.READ_ONLY;
                    case "read-write" -> MediaChanger.Mode.READ_WRITE;
                    default ->
                            throw new BlockException(
                                    lockstep.runtime.linux.Errno.EINVAL,
                                    "invalid parameter value: " + text);
                };
        manager.media()
                .change(
                        arguments.string("device"),
                        null,
                        arguments.string("target"),
                        arguments.optional("format"),
                        arguments.flag("force"),
                        mode);
    }

    private void serverStart(HmpArguments arguments, StringBuilder output) throws BlockException {
        boolean all = arguments.flag("all");
        boolean writable = arguments.flag("writable");
        if (writable && !all) {
            throw new BlockException(
                    lockstep.runtime.linux.Errno.EINVAL, "-w only valid together with -a");
        }
        String uri = arguments.string("uri");
        manager.exports()
                .startServer(address(uri), new NbdServerOptionsBase(null, null, null, null));
        if (all) {
            try {
                for (BlockBackend backend : manager.backends()) {
                    if (!backend.name().isEmpty() && backend.present()) {
                        export(backend.name(), null, writable);
                    }
                }
            } catch (BlockException e) {
                manager.exports().stopServer();
                throw e;
            }
        }
    }

    private static NbdAddress address(String uri) throws BlockException {
        if (uri.startsWith("unix:")) {
            return new NbdAddress.Unix(uri.substring(5));
        }
        String text = uri.startsWith("tcp:") ? uri.substring(4) : uri;
        int colon = text.lastIndexOf(':');
        if (colon < 0) {
            throw new BlockException(
                    lockstep.runtime.linux.Errno.EINVAL, "error parsing address '" + text + "'");
        }
        return NbdAddress.inet(
                colon == 0 ? "0.0.0.0" : text.substring(0, colon), text.substring(colon + 1));
    }

    private void export(String device, @Nullable String givenName, boolean writable)
            throws BlockException {
        BlockNode node = manager.graph().names().lookup(device);
        manager.exports().requireServer();
        String name = givenName == null ? device : givenName;
        manager.exports()
                .add(
                        new NbdServer.Request(
                                name, name, "", writable && !node.readOnly(), false, false),
                        node,
                        manager.backends().find(device));
    }

    private void throttle(HmpArguments arguments, StringBuilder output) throws BlockException {
        ThrottleLimits limits =
                ThrottleLimits.builder()
                        .bpsTotal(arguments.integer("bps", 0))
                        .bpsRead(arguments.integer("bps_rd", 0))
                        .bpsWrite(arguments.integer("bps_wr", 0))
                        .iopsTotal(arguments.integer("iops", 0))
                        .iopsRead(arguments.integer("iops_rd", 0))
                        .iopsWrite(arguments.integer("iops_wr", 0))
                        .build();
        String device = arguments.string("device");
        boolean drive = manager.backends().find(device) != null;
        manager.limit(drive ? device : null, drive ? null : device, limits, null);
    }

    private void infoBlock(HmpArguments arguments, StringBuilder output) {
        boolean verbose = arguments.flag("verbose");
        String only = arguments.optional("device");
        boolean first = true;
        if (!arguments.flag("nodes")) {
            for (BlockInfo info : queries.blocks()) {
                if (only == null || only.equals(info.device()) || only.equals(info.qdev())) {
                    if (!first) {
                        output.append('\n');
                    }
                    print(info, info.inserted(), verbose, output);
                    first = false;
                }
            }
            if (only == null || !first) {
                return;
            }
        }
        for (BlockDeviceInfo node : queries.named(false)) {
            if (only == null || only.equals(node.nodeName())) {
                if (!first) {
                    output.append('\n');
                }
                print(null, node, verbose, output);
                first = false;
            }
        }
    }

    private static void print(
            @Nullable BlockInfo info,
            @Nullable BlockDeviceInfo inserted,
            boolean verbose,
            StringBuilder out) {
        if (info != null && !info.device().isEmpty()) {
            out.append(info.device());
            if (inserted != null) {
                out.append(" (").append(inserted.nodeName()).append(')');
            }
        } else if (inserted != null && !inserted.nodeName().isEmpty()) {
            out.append(inserted.nodeName());
        } else if (info != null) {
            out.append(info.qdev());
        }
        if (inserted == null) {
            out.append(": [not inserted]\n");
        } else {
            out.append(": ").append(inserted.file()).append(" (").append(inserted.drv());
            out.append(inserted.ro() ? ", read-only" : "");
            out.append(inserted.active() ? "" : ", inactive").append(")\n");
        }
        if (info != null) {
            if (info.qdev() != null) {
                out.append("    Attached to:      ").append(info.qdev()).append('\n');
            }
            BlockDeviceIoStatus status = info.ioStatus();
            if (status != null && status != BlockDeviceIoStatus.OK) {
                out.append("    I/O status:       ").append(status.wireName()).append('\n');
            }
            if (info.removable()) {
                out.append("    Removable device: ").append(info.locked() ? "" : "not ");
                out.append("locked, tray ");
                out.append(Boolean.TRUE.equals(info.trayOpen()) ? "open" : "closed").append('\n');
            }
        }
        if (inserted == null) {
            return;
        }
        out.append("    Cache mode:       ")
                .append(inserted.cache().writeback() ? "writeback" : "writethrough")
                .append(inserted.cache().direct() ? ", direct" : "")
                .append(inserted.cache().noFlush() ? ", ignore flushes" : "")
                .append('\n');
        if (inserted.backingFile() != null) {
            out.append("    Backing file:     ")
                    .append(inserted.backingFile())
                    .append(" (chain depth: ")
                    .append(inserted.backingFileDepth())
                    .append(")\n");
        }
        if (inserted.detectZeroes() != BlockdevDetectZeroesOptions.OFF) {
            out.append("    Detect zeroes:    ")
                    .append(inserted.detectZeroes().wireName())
                    .append('\n');
        }
        printLimits(inserted, out);
        if (verbose) {
            out.append("\nImages:\n");
            ImageInfo image = inserted.image();
            while (image != null) {
                print(image, out);
                image = image.backingImage();
                if (image != null) {
                    out.append('\n');
                }
            }
        }
    }

    private static void printLimits(BlockDeviceInfo i, StringBuilder out) {
        if ((i.bps() | i.bpsRd() | i.bpsWr() | i.iops() | i.iopsRd() | i.iopsWr()) == 0) {
            return;
        }
        out.append("    I/O throttling:  ");
        value("bps", i.bps(), out);
        value("bps_rd", i.bpsRd(), out);
        value("bps_wr", i.bpsWr(), out);
        value("bps_max", i.bpsMax(), out);
        value("bps_rd_max", i.bpsRdMax(), out);
        value("bps_wr_max", i.bpsWrMax(), out);
        value("iops", i.iops(), out);
        value("iops_rd", i.iopsRd(), out);
        value("iops_wr", i.iopsWr(), out);
        value("iops_max", i.iopsMax(), out);
        value("iops_rd_max", i.iopsRdMax(), out);
        value("iops_wr_max", i.iopsWrMax(), out);
        value("iops_size", i.iopsSize(), out);
        out.append(" group=").append(i.group()).append('\n');
    }

    private static void value(String name, @Nullable Long value, StringBuilder out) {
        out.append(' ').append(name).append('=').append(value == null ? 0 : value);
    }

    private static void print(ImageInfo image, StringBuilder out) {
        out.append("image: ").append(image.filename()).append('\n');
        out.append("file format: ").append(image.format()).append('\n');
        out.append("virtual size: ").append(size(image.virtualSize()));
        out.append(" (").append(image.virtualSize()).append(" bytes)\n");
        Long actual = image.actualSize();
        out.append("disk size: ").append(actual == null ? "unavailable" : size(actual));
        out.append('\n');
        if (image.clusterSize() != null) {
            out.append("cluster_size: ").append(image.clusterSize()).append('\n');
        }
        if (image.backingFilename() != null) {
            out.append("backing file: ").append(image.backingFilename()).append('\n');
        }
        if (image.backingFilenameFormat() != null) {
            out.append("backing file format: ").append(image.backingFilenameFormat()).append('\n');
        }
    }

    /** Three digits and a binary unit, as the tools print sizes. */
    static String size(long bytes) {
        String[] units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        double value = bytes;
        int unit = 0;
        while (value >= 1000 && unit < units.length - 1) {
            value /= 1024;
            unit++;
        }
        String text = String.format(java.util.Locale.ROOT, "%.3g", value);
        if (text.contains(".")) {
            text = text.replaceAll("0+$", "").replaceAll("\\.$", "");
        }
        return text + " " + units[unit];
    }

    private void infoStats(StringBuilder out) {
        List<BlockStats> all = queries.statistics(false);
        for (BlockStats one : all) {
            var s = one.stats();
            out.append(one.device() == null || one.device().isEmpty() ? one.qdev() : one.device())
                    .append(": rd_bytes=" + s.rdBytes())
                    .append(" wr_bytes=" + s.wrBytes())
                    .append(" rd_operations=" + s.rdOperations())
                    .append(" wr_operations=" + s.wrOperations())
                    .append(" flush_operations=" + s.flushOperations())
                    .append(" wr_total_time_ns=" + s.wrTotalTimeNs())
                    .append(" rd_total_time_ns=" + s.rdTotalTimeNs())
                    .append(" flush_total_time_ns=" + s.flushTotalTimeNs())
                    .append(" rd_merged=" + s.rdMerged())
                    .append(" wr_merged=" + s.wrMerged())
                    .append('\n');
        }
    }
}
