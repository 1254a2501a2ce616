package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Zeroes;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.qmp.NumberText;
import lockstep.runtime.linux.Errno;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.InternalSnapshot;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** {@code convert}: copies one image or several in a row into another. */
final class Convert {
    private static final long PIECE = 2 << 20;
    private static final long SPARSE_MAX = 16 << 20;
    private static final int SECTOR = 512;

    private final Session session;
    private boolean salvage;
    private @Nullable TargetOptions made;
    private boolean quiet;
    private final MemorySegment buffer = Arena.ofAuto().allocate(PIECE, 4096);

    Convert(Session session) {
        this.session = session;
    }

    /**
     * How to write.
     *
     * @param sparse zeroes that are that long are not written; 0 for all are
     * @param blank what was not written reads as zeroes
     * @param below bytes of the target's backing image that would be seen; negative without one
     * @param cluster what is compressed at once; 0 for nothing is
     */
    private record Manner(long sparse, boolean blank, long below, long cluster) {}

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "f= O= B= C c F= o= l= S= p t= T= q n m= W U|--force-share r= --object="
                                + " --image-opts --target-image-opts --salvage --target-is-zero"
                                + " --bitmaps --skip-broken-bitmaps");
        String format = options.get("O") == null ? "raw" : options.get("O");
        List<String> texts = options.all("o");
        if (Create.asksForHelp(texts)) {
            Formats.checkTarget("", format);
            session.console().print(TargetOptions.help(format));
            return 0;
        }
        refuseUnsupported(options);
        long sparse = sparse(options);
        if (options.has("m")) {
            String refusal =
                    "Invalid number of coroutines. Allowed number of coroutines is between 1 and"
                            + " 16";
            Numbers.integer(refusal, options.get("m") + "", 1, 16);
        }
        boolean existing = options.has("n");
        if (existing && options.has("o")) {
            throw new ToolException("-o has no effect when skipping image creation");
        }
        if (options.has("--target-is-zero") && !existing) {
            throw new ToolException("--target-is-zero requires use of -n flag");
        }
        if (options.has("--target-image-opts") && !existing) {
            throw new ToolException("--target-image-opts requires use of -n flag");
        }
        List<String> files = options.arguments();
        if (files.size() < 2) {
            throw new ToolException("Must specify image file name");
        }
        CacheMode readCache =
                CacheMode.of(
                        "Invalid source cache option: ", options.get("T"), CacheMode.WRITEBACK);
        CacheMode writeCache =
                CacheMode.of("Invalid cache option: ", options.get("t"), CacheMode.UNSAFE);
        Images.Way way = Images.Way.reading(options).cached(readCache);
        List<Image> sources = new ArrayList<>();
        try (Progress progress = new Progress(session.console(), Session.progress(options))) {
            for (String file : files.subList(0, files.size() - 1)) {
                sources.add(session.images().open(file, way));
            }
            if (options.has("--bitmaps") && sources.size() > 1) {
                throw new ToolException("Copying bitmaps only possible with single source");
            }
            salvage = options.has("--salvage");
            quiet = options.has("q");
            if (options.has("l")) {
                if (sources.size() > 1) {
                    throw new ToolException("No support for concatenating multiple snapshot");
                }
                InternalSnapshot.show(sources.getFirst().node(), options.get("l"));
            }
            if (options.has("--bitmaps")) {
                checkBitmaps(sources.getFirst(), options.has("--skip-broken-bitmaps"));
            }
            convert(sources, files.getLast(), format, options, sparse, writeCache, progress);
            progress.report(1, 1);
        } finally {
            sources.forEach(Image::close);
        }
        return 0;
    }

    private static void refuseUnsupported(Options options) throws ToolException {
        if (options.has("C") && options.has("S")) {
            throw new ToolException("Cannot enable copy offloading when -S is used");
        }
        if (options.has("--skip-broken-bitmaps") && !options.has("--bitmaps")) {
            throw new ToolException("Use of --skip-broken-bitmaps requires --bitmaps");
        }
        if (options.has("r")) {
            throw new ToolException("A rate limit (-r) is not supported");
        }
    }

    private static long sparse(Options options) throws ToolException {
        String text = options.get("S");
        if (text == null) {
            return 4096;
        }
        NumberText size = NumberText.size(text);
        if (size.outcome() != NumberText.Outcome.NUMBER) {
            return Numbers.size("buffer size for sparse output", text, 0, SPARSE_MAX);
        }
        if (size.value() < 0 || size.value() % SECTOR != 0 || size.value() > SPARSE_MAX) {
            throw new ToolException(
                    "Invalid buffer size for sparse output specified. Valid sizes are multiples of"
                            + " 512 up to 16777216. Select 0 to disable sparse detection (fully"
                            + " allocates output).");
        }
        return size.value();
    }

    private void convert(
            List<Image> sources,
            String target,
            String format,
            Options options,
            long sparse,
            CacheMode cache,
            Progress progress)
            throws ToolException, BlockException {
        long size = 0;
        for (Image source : sources) {
            size += source.length();
        }
        boolean existing = options.has("n");
        String backing = existing ? null : make(sources, target, format, options, size);
        String opening = made == null ? target : made.opening(target);
        Images.Way way =
                new Images.Way(
                        options.has("--target-image-opts"),
                        options.has("--target-image-opts") || !opening.equals(target)
                                ? null
                                : format,
                        true,
                        cache,
                        false,
                        false,
                        true);
        try (Image output = session.images().open(opening, way)) {
            long room = output.length();
            if (room < size) {
                throw new ToolException("output file is smaller than input file");
            }
            Qcow2Node qcow2 = output.qcow2();
            if (options.has("c") && qcow2 == null) {
                throw new ToolException("Compression not supported for this file format");
            }
            ChildEdge below = output.node().child("backing");
            // What was never written to a LUKS volume is no zeroes.
            boolean zeroes = !existing && !format.equals("luks");
            boolean blank = below == null && (zeroes || options.has("--target-is-zero"));
            Manner manner =
                    new Manner(
                            sparse,
                            blank && sparse > 0,
                            backing == null || below == null ? -1 : below.length(),
                            options.has("c") && qcow2 != null ? qcow2.allocationUnit() : 0);
            if (options.has("--bitmaps") && !keepsBitmaps(output)) {
                throw new ToolException(
                        "Format driver '" + output.node().driver() + "' does not support bitmaps");
            }
            copy(sources, size, output, manner, progress);
            if (options.has("--bitmaps")) {
                copyBitmaps(sources.getFirst(), output);
            }
            output.flush();
        }
    }

    private static boolean keepsBitmaps(Image image) {
        Qcow2Node qcow2 = image.qcow2();
        return qcow2 != null && qcow2.header().version() >= 3;
    }

    private void checkBitmaps(Image source, boolean skip) throws ToolException {
        if (!keepsBitmaps(source)) {
            throw new ToolException("Source lacks bitmap support");
        }
        for (DirtyBitmap bitmap : source.node().bitmaps()) {
            if (bitmap.inconsistent() && !skip) {
                throw new ToolException("Cannot copy inconsistent bitmap '" + bitmap.name() + "'")
                        .advising(
                                "Try --skip-broken-bitmaps, or use '"
                                        + Console.PROGRAM
                                        + " bitmap --remove' to delete it\n");
            }
        }
    }

    private void copyBitmaps(Image source, Image output) throws ToolException {
        BitmapCommand bitmaps = new BitmapCommand(session);
        String to = output.node().name();
        for (DirtyBitmap bitmap : source.node().bitmaps()) {
            String name = String.valueOf(bitmap.name());
            if (bitmap.inconsistent()) {
                session.console().warning("Skipping inconsistent bitmap '" + name + "'");
                continue;
            }
            try {
                bitmaps.add(to, name, bitmap.granule(), !bitmap.recording());
            } catch (BlockException e) {
                throw ToolException.of("Failed to create bitmap " + name + ": ", e);
            }
            try {
                bitmaps.merge(source.node().name(), name, to, name);
            } catch (BlockException e) {
                throw ToolException.of("Failed to populate bitmap " + name + ": ", e);
            }
        }
    }

    /** Makes the target; answers what is below it. */
    private @Nullable String make(
            List<Image> sources, String target, String format, Options options, long size)
            throws ToolException {
        Formats.checkTarget("", format);
        TargetOptions made = TargetOptions.parse("", format, options.all("o"));
        this.made = made;
        Create.setBacking("", made, options.get("B"), options.get("F"));
        String backing = made.get("backing_file");
        if (backing != null && sources.size() > 1) {
            throw new ToolException(
                    "Having a backing file for the target makes no sense when"
                            + " concatenating multiple input images");
        }
        if (backing != null && made.get("backing_fmt") == null) {
            throw new ToolException("Use of backing file requires explicit backing format");
        }
        if (options.has("c") && format.equals("qcow2") && made.encryption("") != null) {
            throw new ToolException("Compression and encryption not supported at the same time");
        }
        if (options.has("c")) {
            if (!format.equals("qcow2")) {
                throw new ToolException("Compression not supported for this file format");
            }
            if (!made.preallocation("").equals("off")) {
                throw new ToolException(
                        "Compression and preallocation not supported at the same time");
            }
        }
        if (backing != null) {
            String path = Names.below(target, backing);
            Images.Way way = Images.Way.reading(made.get("backing_fmt")).withoutBacking();
            try (Image _ = session.images().tryOpen(path, way)) {
                // It can be opened.
            } catch (BlockException e) {
                throw ToolException.of("Could not open backing file: ", e);
            }
        }
        for (Image source : sources) {
            if (options.has("U")) {
                refuseSameFile(source, target);
            }
        }
        new Create(session)
                .make(
                        target + ": error while converting " + format + ": ",
                        target,
                        format,
                        made,
                        size);
        return backing;
    }

    /** With -U no lock keeps an image from being copied onto itself. */
    private static void refuseSameFile(Image source, String target) throws ToolException {
        try {
            Path from = Path.of(source.node().plainFilename());
            Path to = Path.of(target);
            if (Files.exists(to) && Files.exists(from) && Files.isSameFile(from, to)) {
                throw new ToolException("'" + target + "' is both input and output");
            }
        } catch (IOException | InvalidPathException e) {
            throw new ToolException("'" + target + "' cannot be told from the input: " + e);
        }
    }

    private void copy(
            List<Image> sources, long size, Image output, Manner manner, Progress progress)
            throws ToolException, BlockException {
        if (manner.cluster > 0) {
            copyCompressed(sources, size, output, manner, progress);
            return;
        }
        long base = 0;
        for (Image source : sources) {
            long length = source.length();
            for (long at = 0; at < length; ) {
                BlockStatus status = source.status(at, length - at);
                long run = status.length();
                long to = base + at;
                boolean seen = manner.below >= 0 && to < manner.below;
                if (manner.below >= 0
                        && !status.allocated()
                        && source.node().backing() != null
                        && to < manner.below) {
                    // The same is below the target.
                    run = Math.min(run, manner.below - to);
                } else if (status.zero() && manner.sparse > 0) {
                    if (seen) {
                        run = Math.min(run, manner.below - to);
                    }
                    if (!manner.blank && (seen || manner.below < 0)) {
                        run = Math.min(run, 1L << 30);
                        output.writeZeroes(to, run, true);
                    }
                } else {
                    run = Math.min(run, PIECE);
                    MemorySegment part = buffer.asSlice(0, run);
                    read(source, at, part);
                    write(output, to, part, manner);
                }
                at += run;
                progress.report(base + at, size);
            }
            base += length;
        }
    }

    private void read(Image source, long at, MemorySegment part) throws ToolException {
        try {
            source.read(at, part);
        } catch (BlockException e) {
            if (salvage) {
                salvage(source, at, part);
                return;
            }
            throw new ToolException("error while reading at byte " + at + ": " + e.getMessage());
        }
    }

    /** Reads what can be read; the rest is zeroes. */
    private void salvage(Image source, long at, MemorySegment part) {
        for (long done = 0; done < part.byteSize(); done += SECTOR) {
            MemorySegment sector = part.asSlice(done, Math.min(SECTOR, part.byteSize() - done));
            try {
                source.read(at + done, sector);
            } catch (BlockException e) {
                if (!quiet) {
                    session.console()
                            .warning(
                                    "error while reading offset "
                                            + (at + done)
                                            + ": "
                                            + Errno.text(e.errno()));
                }
                sector.fill((byte) 0);
            }
        }
    }

    /** Writes what is no long run of zeroes. */
    private static void write(Image output, long to, MemorySegment part, Manner manner)
            throws ToolException {
        try {
            if (manner.sparse == 0) {
                output.write(to, part);
                return;
            }
            for (long at = 0; at < part.byteSize(); ) {
                boolean zero = isZero(part, at, manner.sparse);
                long end = at;
                while (end < part.byteSize() && isZero(part, end, manner.sparse) == zero) {
                    end = Math.min(part.byteSize(), end + manner.sparse);
                }
                if (!zero) {
                    output.write(to + at, part.asSlice(at, end - at));
                } else if (!manner.blank) {
                    output.writeZeroes(to + at, end - at, true);
                }
                at = end;
            }
        } catch (BlockException e) {
            throw new ToolException("error while writing at byte " + to + ": " + e.getMessage());
        }
    }

    private static boolean isZero(MemorySegment part, long at, long length) {
        return Zeroes.isZero(part.asSlice(at, Math.min(length, part.byteSize() - at)));
    }

    private void copyCompressed(
            List<Image> sources, long size, Image output, Manner manner, Progress progress)
            throws ToolException, BlockException {
        Qcow2Node qcow2 = output.qcow2();
        MemorySegment cluster = Arena.ofAuto().allocate(manner.cluster, 4096);
        for (long at = 0; qcow2 != null && at < size; ) {
            long offset = at;
            long length = Math.min(manner.cluster, size - at);
            if (manner.below < 0 || !isBelow(sources.getFirst(), at, length, manner.below)) {
                gather(sources, at, cluster);
                if (manner.sparse == 0 || !Zeroes.isZero(cluster)) {
                    output.with(qcow2, image -> image.writeCompressed(offset, cluster));
                } else if (!manner.blank) {
                    output.writeZeroes(at, length, true);
                }
            }
            at += length;
            progress.report(at, size);
        }
    }

    private static boolean isBelow(Image source, long offset, long length, long below)
            throws BlockException {
        if (source.node().backing() == null || offset + length > below) {
            return false;
        }
        for (long at = offset; at < offset + length; ) {
            BlockStatus status = source.status(at, offset + length - at);
            if (status.allocated()) {
                return false;
            }
            at += status.length();
        }
        return true;
    }

    /** Reads from all sources as if they were one. */
    private void gather(List<Image> sources, long offset, MemorySegment target)
            throws ToolException, BlockException {
        target.fill((byte) 0);
        long base = 0;
        for (Image source : sources) {
            long length = source.length();
            long from = Math.max(offset, base);
            long to = Math.min(offset + target.byteSize(), base + length);
            if (from < to) {
                read(source, from - base, target.asSlice(from - offset, to - from));
            }
            base += length;
        }
    }
}
