package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.InternalSnapshot;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.List;

/** {@code measure}: how much room an image needs. */
final class Measure {
    private static final int DIRECTORY_ENTRY = 24;

    private final Session session;

    Measure(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "f= l= o= O= U|--force-share --output= --object= --image-opts --size=");
        boolean json = Session.json(options);
        String sizeText = options.get("--size");
        long size = sizeText == null ? -1 : Numbers.size("image size", sizeText, 0, Long.MAX_VALUE);
        List<String> files = options.arguments();
        if (sizeText == null && files.isEmpty() || files.size() > 1) {
            throw new ToolException(
                    files.size() > 1
                            ? "At most one filename argument is allowed."
                            : "Either --size N or one filename must be specified.");
        }
        if (files.isEmpty()
                && (options.has("f") || options.has("l") || options.has("--image-opts"))) {
            throw new ToolException("--image-opts, -f, and -l can only be used with a filename.");
        }
        if (sizeText != null && !files.isEmpty()) {
            throw new ToolException("--size N cannot be used together with a filename.");
        }
        String format = options.get("O") == null ? "raw" : options.get("O");
        Formats.checkTarget("", format);
        TargetOptions target;
        try {
            target = TargetOptions.parse("", format, options.all("o"));
        } catch (ToolException e) {
            throw e.advising(
                    Console.PROGRAM + ": Invalid options for file format '" + format + "'\n");
        }
        if (target.get("size") != null && size < 0) {
            size = Long.parseLong(String.valueOf(target.get("size")));
        }
        if (files.isEmpty()) {
            print(json, needed(null, size, format, target));
            return 0;
        }
        try (Image image = session.images().open(files.getFirst(), Images.Way.reading(options))) {
            InternalSnapshot.show(image.node(), options.get("l"));
            print(json, needed(image, image.length(), format, target));
        }
        return 0;
    }

    /** The answer; the last number is negative where bitmaps cannot be. */
    private record Need(long required, long whole, long bitmaps) {}

    private static Need needed(
            @Nullable Image image, long size, String format, TargetOptions target)
            throws ToolException, BlockException {
        if (format.equals("raw")) {
            long length = size + 511 & -512L;
            return new Need(length, length, -1);
        }
        target.qcow2("", 0);
        long cluster = target.clusterSize();
        long disk = size + cluster - 1 & -cluster;
        long whole = wholeSize(disk, cluster, target.refcountBits());
        String mode = target.preallocation("");
        long data = mode.equals("full") || mode.equals("falloc") ? disk : 0;
        if (image != null && data == 0) {
            data = dataIn(image, size, cluster);
        }
        Qcow2Node qcow2 = image == null ? null : image.qcow2();
        long bitmaps =
                qcow2 != null && qcow2.header().version() >= 3
                        ? bitmapBytes(qcow2, size, cluster)
                        : -1;
        return new Need(whole - disk + data, whole, bitmaps);
    }

    /** Bytes of the bitmaps that the image keeps, with all their bits and what names them. */
    private static long bitmapBytes(Qcow2Node image, long size, long cluster) {
        long bytes = 0;
        long directory = 0;
        for (DirtyBitmap bitmap : image.bitmaps()) {
            if (bitmap.persistent()) {
                long bits = (size + bitmap.granule() - 1) / bitmap.granule();
                long clusters = (bits + cluster * Byte.SIZE - 1) / (cluster * Byte.SIZE);
                bytes += clusters * cluster + (clusters * Long.BYTES + cluster - 1 & -cluster);
                int name = String.valueOf(bitmap.name()).getBytes(StandardCharsets.UTF_8).length;
                directory += DIRECTORY_ENTRY + name + 7 & ~7L;
            }
        }
        return bytes + (directory + cluster - 1 & -cluster);
    }

    private static long dataIn(Image image, long size, long cluster) throws BlockException {
        long data = 0;
        for (long at = 0; at < size; ) {
            BlockStatus status = image.status(at, size - at);
            long run = status.length();
            if (status.data() && !status.zero()) {
                run = (at + run + cluster - 1 & -cluster) - at;
                data += at % cluster + run;
            }
            at += run;
        }
        return data;
    }

    /** Bytes of a qcow2 image all of whose clusters have a place. */
    static long wholeSize(long disk, long cluster, int refcountBits) {
        long perTable = cluster / 8;
        long tables = (disk / cluster + perTable - 1) / perTable;
        long firstLevel = (tables + perTable - 1) / perTable;
        long clusters = disk / cluster + 1 + tables + firstLevel;
        long perBlock = cluster * 8 / refcountBits;
        long blocks = 0;
        long table = 0;
        long before;
        do {
            before = blocks + table;
            blocks = (clusters + table + blocks + perBlock - 1) / perBlock;
            table = (blocks + perTable - 1) / perTable;
        } while (blocks + table != before);
        return (clusters + blocks + table) * cluster;
    }

    private void print(boolean json, Need need) {
        if (json) {
            JsonObject object = new JsonObject();
            object.put("required", need.required).put("fully-allocated", need.whole);
            if (need.bitmaps >= 0) {
                object.put("bitmaps", need.bitmaps);
            }
            session.console().line(JsonPrinter.pretty(object));
            return;
        }
        session.console().line("required size: " + need.required);
        session.console().line("fully allocated size: " + need.whole);
        if (need.bitmaps >= 0) {
            session.console().line("bitmaps size: " + need.bitmaps);
        }
    }
}
