package lockstep.tools.img;

import lockstep.block.HumanSize;
import lockstep.block.file.FileNode;
import lockstep.block.luks.LuksHeader;
import lockstep.block.luks.LuksNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Header;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.qcow2.Snapshot;
import lockstep.block.qcow2.SnapshotText;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** {@code info}. */
final class Info {
    private static final long DIRTY = 1;

    private final Session session;

    Info(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "f|--format= U|--force-share --output= --backing-chain --object="
                                + " --image-opts");
        boolean json = Session.json(options);
        String name = options.onlyFile();
        session.images().withoutKeys();
        Images.Way way = Images.Way.reading(options).withoutBacking();
        List<JsonObject> chain = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        while (name != null) {
            if (!seen.add(name)) {
                throw new ToolException("Backing file '" + name + "' creates an infinite loop.");
            }
            JsonObject image;
            String format = null;
            try (Image opened = session.images().open(name, way)) {
                image = describe(opened);
                Qcow2Node qcow2 = opened.qcow2();
                format = qcow2 == null ? null : qcow2.header().backingFormat();
                if (qcow2 != null && options.has("--backing-chain")) {
                    qcow2.checkBackingName();
                }
            }
            chain.add(image);
            name = options.has("--backing-chain") ? text(image, "full-backing-filename") : null;
            way = new Images.Way(false, format, false, way.cache(), way.shared(), true, false);
        }
        if (!json) {
            for (int i = 0; i < chain.size(); i++) {
                session.console().print((i == 0 ? "" : "\n") + human(chain.get(i)));
            }
        } else if (options.has("--backing-chain")) {
            JsonArray all = new JsonArray();
            chain.forEach(all::add);
            session.console().line(JsonPrinter.pretty(all));
        } else {
            session.console().line(JsonPrinter.pretty(chain.getFirst()));
        }
        return 0;
    }

    private static @Nullable String text(JsonObject object, String key) {
        return object.get(key) instanceof JsonString string ? string.value() : null;
    }

    private static JsonObject describe(Image image) throws BlockException {
        BlockNode node = image.node();
        String plain = node.plainFilename();
        JsonObject info = new JsonObject();
        info.put("filename", plain.isEmpty() ? image.filename() : plain);
        info.put("format", node.driver());
        info.put("virtual-size", image.length());
        Long actual = actualSize(node);
        if (actual != null) {
            info.put("actual-size", actual);
        }
        info.put("dirty-flag", false);
        if (node instanceof Qcow2Node qcow2) {
            describe(qcow2, home(node), info);
        } else if (node instanceof LuksNode luks) {
            info.put("encrypted", true);
            info.put(
                    "format-specific",
                    new JsonObject().put("type", "luks").put("data", volume(luks.header())));
        }
        return info;
    }

    /** The name of the file that a node's data is in, from which names below count; "" when there is not one. */
    private static String home(BlockNode node) {
        BlockNode at = node;
        for (ChildEdge below = at.primaryChild(); below != null; below = at.primaryChild()) {
            at = below.node();
        }
        return at.plainFilename();
    }

    private static void describe(Qcow2Node node, String home, JsonObject info) {
        Qcow2Header header = node.header();
        info.put("cluster-size", 1L << header.clusterBits());
        info.put("dirty-flag", (header.incompatible() & DIRTY) != 0);
        String backing = header.backingFile();
        if (backing != null) {
            info.put("backing-filename", backing);
            if (!home.isEmpty() || !Names.relative(backing)) {
                info.put("full-backing-filename", Names.below(home, backing));
            }
            if (header.backingFormat() != null) {
                info.put("backing-filename-format", header.backingFormat());
            }
        }
        JsonObject data = new JsonObject();
        LuksHeader luks = node.encryption().luks();
        if (header.encryption() != 0) {
            info.put("encrypted", true);
            JsonObject encrypt = luks == null ? new JsonObject() : volume(luks);
            data.put("encrypt", encrypt.put("format", luks == null ? "aes" : "luks"));
        }
        data.put("compat", header.version() >= 3 ? "1.1" : "0.10");
        data.put("compression-type", header.compressionType() == 0 ? "zlib" : "zstd");
        List<Qcow2Node.KeptBitmap> bitmaps = node.keptBitmaps();
        if (!bitmaps.isEmpty()) {
            JsonArray list = new JsonArray();
            bitmaps.forEach(bitmap -> list.add(describe(bitmap)));
            data.put("bitmaps", list);
        }
        data.put("refcount-bits", 1L << header.refcountOrder());
        if (header.version() >= 3) {
            data.put("lazy-refcounts", (header.compatible() & 1) != 0);
            data.put("corrupt", node.corrupt());
            data.put("extended-l2", false);
        }
        info.put("format-specific", new JsonObject().put("type", "qcow2").put("data", data));
        List<Snapshot> snapshots = node.snapshots();
        if (!snapshots.isEmpty()) {
            JsonArray list = new JsonArray();
            snapshots.forEach(snapshot -> list.add(describe(snapshot)));
            info.put("snapshots", list);
        }
    }

    private static JsonObject volume(LuksHeader header) {
        LuksHeader.Kind kind = header.kind();
        JsonArray slots = new JsonArray();
        for (LuksHeader.Slot slot : header.slots()) {
            JsonObject one = new JsonObject().put("active", slot.active());
            if (slot.active()) {
                one.put("iters", slot.rounds()).put("stripes", slot.stripes());
            }
            slots.add(one.put("key-offset", slot.keyOffset()));
        }
        JsonObject volume =
                new JsonObject()
                        .put("ivgen-alg", kind.vector())
                        .put("hash-alg", kind.hash())
                        .put("cipher-alg", kind.cipher())
                        .put("uuid", header.uuid())
                        .put("cipher-mode", kind.mode())
                        .put("slots", slots)
                        .put("payload-offset", header.payloadOffset())
                        .put("master-key-iters", header.rounds());
        if (kind.vectorHash() != null) {
            volume.put("ivgen-hash-alg", kind.vectorHash());
        }
        return volume;
    }

    private static JsonObject describe(Qcow2Node.KeptBitmap bitmap) {
        JsonArray flags = new JsonArray();
        if (bitmap.inUse()) {
            flags.add(new JsonString("in-use"));
        }
        if (bitmap.recording()) {
            flags.add(new JsonString("auto"));
        }
        return new JsonObject()
                .put("flags", flags)
                .put("name", bitmap.name())
                .put("granularity", bitmap.granularity());
    }

    private static JsonObject describe(Snapshot snapshot) {
        JsonObject object = new JsonObject();
        object.put("id", snapshot.id());
        object.put("name", snapshot.name());
        object.put("vm-state-size", snapshot.vmStateBytes());
        object.put("date-sec", snapshot.seconds());
        object.put("date-nsec", Integer.toUnsignedLong(snapshot.nanos()));
        object.put("vm-clock-sec", snapshot.vmClockNanos() / 1_000_000_000);
        object.put("vm-clock-nsec", snapshot.vmClockNanos() % 1_000_000_000);
        if (snapshot.icount() != -1) {
            object.put("icount", snapshot.icount());
        }
        return object;
    }

    /** Bytes in the host's files, without what is below; null when that is not known. */
    private static @Nullable Long actualSize(BlockNode node) throws BlockException {
        if (node instanceof FileNode file) {
            return file.allocatedBytes();
        }
        Long sum = null;
        for (ChildEdge edge : node.children()) {
            Long one = edge.role() == Role.BACKING ? null : actualSize(edge.node());
            if (one != null) {
                sum = sum == null ? one : Long.valueOf(sum + one);
            }
        }
        return sum;
    }

    private static String human(JsonObject info) {
        StringBuilder out = new StringBuilder();
        long size = number(info, "virtual-size");
        line(out, "image", text(info, "filename"));
        line(out, "file format", text(info, "format"));
        line(out, "virtual size", HumanSize.of(size) + " (" + size + " bytes)");
        line(
                out,
                "disk size",
                info.has("actual-size")
                        ? HumanSize.of(number(info, "actual-size"))
                        : "unavailable");
        if (info.has("encrypted")) {
            line(out, "encrypted", "yes");
        }
        if (info.has("cluster-size")) {
            line(out, "cluster_size", Long.toString(number(info, "cluster-size")));
        }
        if (String.valueOf(info.get("dirty-flag")).equals("true")) {
            line(out, "cleanly shut down", "no");
        }
        String backing = text(info, "backing-filename");
        if (backing != null) {
            String full = text(info, "full-backing-filename");
            String place =
                    full == null
                            ? " (cannot determine actual path)"
                            : full.equals(backing) ? "" : " (actual path: " + full + ")";
            line(out, "backing file", backing + place);
            if (info.has("backing-filename-format")) {
                line(out, "backing file format", text(info, "backing-filename-format"));
            }
        }
        if (info.get("snapshots") instanceof JsonArray snapshots) {
            out.append("Snapshot list:\n" + SnapshotText.HEAD);
            for (JsonValue snapshot : snapshots) {
                JsonObject s = (JsonObject) snapshot;
                out.append(
                        SnapshotText.line(
                                new Snapshot(
                                        String.valueOf(text(s, "id")),
                                        String.valueOf(text(s, "name")),
                                        number(s, "date-sec"),
                                        0,
                                        number(s, "vm-clock-sec") * 1_000_000_000
                                                + number(s, "vm-clock-nsec"),
                                        number(s, "vm-state-size"),
                                        0,
                                        s.has("icount") ? number(s, "icount") : -1)));
            }
        }
        if (info.get("format-specific") instanceof JsonObject specific
                && specific.get("data") instanceof JsonObject data) {
            out.append("Format specific information:\n");
            members(out, "    ", data);
        }
        return out.toString();
    }

    private static void members(StringBuilder out, String indent, JsonObject object) {
        for (Map.Entry<String, JsonValue> member : object.inWireOrder()) {
            value(out, indent + member.getKey().replace('-', ' '), indent, member.getValue());
        }
    }

    /** A value behind its name, or in the lines below. */
    private static void value(StringBuilder out, String name, String indent, JsonValue value) {
        switch (value) {
            case JsonObject object -> {
                out.append(name).append(":\n");
                members(out, indent + "    ", object);
            }
            case JsonArray array -> {
                out.append(name).append(":\n");
                for (int i = 0; i < array.size(); i++) {
                    value(out, indent + "    [" + i + "]", indent + "    ", array.get(i));
                }
            }
            case JsonString string -> line(out, name, string.value());
            default -> line(out, name, value.toString());
        }
    }

    private static long number(JsonObject object, String key) {
        return Long.parseLong(String.valueOf(object.get(key)));
    }

    private static void line(StringBuilder out, String name, @Nullable String value) {
        out.append(name).append(": ").append(value).append('\n');
    }
}
