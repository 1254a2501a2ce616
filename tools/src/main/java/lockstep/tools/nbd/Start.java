package lockstep.tools.nbd;

import lockstep.api.InetSocketAddress;
import lockstep.api.NbdServerOptionsBase;
import lockstep.block.BlockBackend;
import lockstep.block.drive.BlockManager;
import lockstep.block.nbd.NbdAddress;
import lockstep.block.nbd.NbdListing;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;
import lockstep.runtime.commandline.ObjectText;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.tls.TlsEnd;
import lockstep.tools.server.ServerProcess;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.InternalSnapshot;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Opens the image and serves it, or shows what another server has. */
final class Start {
    private static final String EXPORT = "lockstep-nbd";
    private static final String DISK = "disk";
    private static final String PART = "part";

    private final Console console;
    private final Wanted wanted;

    Start(Console console, Wanted wanted) {
        this.console = console;
        this.wanted = wanted;
    }

    /** False when there is nothing to serve. Machine lock held. */
    boolean run(ServerProcess process) throws ToolException {
        VmmProcess vmm = process.vmm();
        try {
            OptionHandler trace = Objects.requireNonNull(vmm.options().find("trace"));
            for (String text : wanted.traces()) {
                trace.parse(text);
            }
            for (String text : wanted.objects()) {
                vmm.objects().create(ObjectText.parse(text, vmm.objects().types()));
            }
            if (wanted.list()) {
                list(vmm);
                return false;
            }
            checkTls(vmm);
            serve(process);
            process.pidFile(wanted.pidFile());
            return true;
        } catch (EndOfProgram e) {
            console.print(String.valueOf(e.getMessage()));
            return false;
        } catch (BlockException e) {
            throw ToolException.of("", e);
        } catch (QmpException e) {
            throw new ToolException(e.description());
        } catch (OptionException | IOException e) {
            throw new ToolException(String.valueOf(e.getMessage()));
        }
    }

    private void checkTls(VmmProcess vmm) throws ToolException {
        String credentials = wanted.tlsCreds();
        if (credentials != null) {
            try {
                vmm.tlsEnds().server(credentials, wanted.tlsAuthz());
            } catch (QmpException e) {
                throw new ToolException("Failed to get TLS creds: " + e.description());
            }
        }
    }

    private NbdAddress address() throws BlockException {
        String socket = wanted.socket();
        return socket != null
                ? new NbdAddress.Unix(socket)
                : NbdAddress.inet(
                        InetSocketAddress.builder()
                                .host(wanted.host())
                                .port(wanted.port())
                                .build());
    }

    // ---- a server

    private void serve(ServerProcess process) throws ToolException, BlockException, QmpException {
        BlockManager disks = process.disks();
        BlockNode image = open(disks);
        InternalSnapshot.show(image, wanted.snapshotInside());
        String node = wanted.offset() > 0 ? part(disks, image) : image.name();
        JsonObject terms = new JsonObject().put("max-connections", JsonNumber.of(wanted.shared()));
        putIfGiven(terms, "tls-creds", wanted.tlsCreds());
        putIfGiven(terms, "tls-authz", wanted.tlsAuthz());
        disks.exports()
                .startServer(
                        address(), NbdServerOptionsBase.read(new JsonInputVisitor(terms), null));
        JsonObject export =
                new JsonObject()
                        .put("type", "nbd")
                        .put("id", EXPORT)
                        .put("node-name", node)
                        .put("name", wanted.name())
                        .put("writable", !wanted.readOnly())
                        .put("writethrough", wanted.cache().writethrough());
        if (!wanted.description().isEmpty()) {
            export.put("description", wanted.description());
        }
        if (wanted.allocationDepth()) {
            export.put("allocation-depth", true);
        }
        if (!wanted.bitmaps().isEmpty()) {
            JsonArray bitmaps = new JsonArray();
            wanted.bitmaps().forEach(b -> bitmaps.add(new JsonString(b)));
            export.put("bitmaps", bitmaps);
        }
        process.execute("block-export-add", export);
        if (!wanted.persistent()) {
            disks.exports().whenDeserted(() -> process.vmm().leave(0));
        }
    }

    private static void putIfGiven(JsonObject object, String name, @Nullable String value) {
        if (value != null) {
            object.put(name, value);
        }
    }

    private BlockNode open(BlockManager disks) throws ToolException {
        Map<String, String> drive = new LinkedHashMap<>();
        drive.put("if", "none");
        drive.put("id", DISK);
        if (!wanted.imageOptions()) {
            drive.put("file", wanted.image());
        }
        String format = wanted.format();
        if (format != null) {
            drive.put("format", format);
        }
        drive.put("cache.direct", onOff(wanted.cache().direct()));
        drive.put("cache.no-flush", onOff(wanted.cache().noFlush()));
        drive.put("cache.writeback", onOff(!wanted.cache().writethrough()));
        drive.put("read-only", onOff(wanted.readOnly()));
        drive.put("discard", wanted.unmap() ? "unmap" : "ignore");
        drive.put("snapshot", onOff(wanted.temporary()));
        putIfGiven(drive, "aio", wanted.aio());
        putIfGiven(drive, "detect-zeroes", wanted.zeroes());
        try {
            if (wanted.imageOptions() && wanted.image().indexOf('=') < 0) {
                disks.graph().names().lookup(wanted.image());
            }
            BlockBackend backend =
                    disks.addDrive(wanted.imageOptions() ? wanted.image() : "", drive, "none")
                            .backend();
            return Objects.requireNonNull(backend.root());
        } catch (BlockException e) {
            throw ToolException.of("Failed to blk_new_open '" + wanted.image() + "': ", e);
        }
    }

    private static void putIfGiven(Map<String, String> map, String name, @Nullable String value) {
        if (value != null) {
            map.put(name, value);
        }
    }

    private static String onOff(boolean value) {
        return value ? "on" : "off";
    }

    /** The image behind the offset, as a node of its own. */
    private String part(BlockManager disks, BlockNode image) throws ToolException, BlockException {
        disks.nodes()
                .addFromText(
                        "driver=raw,node-name="
                                + PART
                                + ",file="
                                + image.name()
                                + ",offset="
                                + wanted.offset()
                                + ",read-only="
                                + onOff(wanted.readOnly()));
        return PART;
    }

    // ---- a list

    private void list(VmmProcess vmm) throws ToolException, BlockException {
        TlsEnd tls = null;
        String credentials = wanted.tlsCreds();
        if (credentials != null) {
            String host = wanted.tlsHostname();
            try {
                tls =
                        vmm.tlsEnds()
                                .client(
                                        credentials,
                                        host != null || wanted.socket() != null
                                                ? host
                                                : wanted.host());
            } catch (QmpException e) {
                throw new ToolException("Failed to get TLS creds: " + e.description());
            }
        }
        new ListText(console).print(NbdListing.of(address(), tls));
    }
}
