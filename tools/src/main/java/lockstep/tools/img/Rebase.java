package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** {@code rebase}: gives an image another one below, without changing what it reads as. */
final class Rebase {
    private static final long PIECE = 2 << 20;

    private final Session session;

    Rebase(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line, "f= F= b= u p t= T= q U|--force-share --object= --image-opts");
        String filename = options.onlyFile();
        String base = options.get("b");
        boolean unsafe = options.has("u");
        if (base == null && !unsafe) {
            throw ToolException.usage("Must specify backing file (-b) or use unsafe mode (-u)");
        }
        String format = options.get("F");
        if (format != null && !Formats.known(format)) {
            throw new ToolException("Invalid format name: '" + format + "'");
        }
        CacheMode cache =
                CacheMode.of("Invalid cache option: ", options.get("t"), CacheMode.WRITEBACK);
        CacheMode.of("Invalid source cache option: ", options.get("T"), CacheMode.WRITEBACK);
        Images.Way way = Images.Way.reading(options).writing().unmapping().cached(cache);
        try (Progress progress = new Progress(session.console(), Session.progress(options));
                Image image =
                        session.images().open(filename, unsafe ? way.withoutBacking() : way)) {
            if (!unsafe) {
                copyDifferences(image, base, format, progress);
            }
            image.flush();
            change(image, base, format);
            progress.report(1, 1);
        }
        return 0;
    }

    private static void change(Image image, @Nullable String base, @Nullable String format)
            throws ToolException {
        Qcow2Node qcow2 = image.qcow2();
        String shown = String.valueOf(base);
        try {
            boolean none = base == null || base.isEmpty();
            if (!none && format == null) {
                throw new BlockException(22, "backing format must be specified");
            }
            if (qcow2 == null) {
                throw new BlockException(95);
            }
            qcow2.nameBacking(none ? null : base, none ? null : format);
        } catch (BlockException e) {
            throw new ToolException(
                    e.errno() == 28
                            ? "Could not change the backing file to '"
                                    + shown
                                    + "': No space left in the file header"
                            : "Could not change the backing file to '"
                                    + shown
                                    + "': "
                                    + e.getMessage());
        }
    }

    /** Copies into the image what it has from below and would not have any more. */
    private void copyDifferences(
            Image image, @Nullable String base, @Nullable String format, Progress progress)
            throws ToolException, BlockException {
        BlockNode below = image.node().backing();
        Image old = below == null ? null : share(image, below);
        try (Image _ = old;
                Image made = base == null || base.isEmpty() ? null : open(image, base, format)) {
            MemorySegment before = Arena.ofAuto().allocate(PIECE, 4096);
            MemorySegment after = Arena.ofAuto().allocate(PIECE, 4096);
            long size = image.length();
            for (long at = 0; at < size; ) {
                BlockStatus status = image.status(at, Math.min(PIECE, size - at));
                long run = status.length();
                if (!status.allocated()) {
                    MemorySegment was = content(old, at, before.asSlice(0, run));
                    MemorySegment willBe = content(made, at, after.asSlice(0, run));
                    copy(image, at, was, willBe);
                }
                at += run;
                progress.report(at, size);
            }
        }
    }

    private Image share(Image image, BlockNode below) throws BlockException {
        return new Image(
                session.images().graph(),
                image.filename(),
                session.images().graph().retain(below),
                false);
    }

    private Image open(Image image, String base, @Nullable String format) throws ToolException {
        String path = Names.below(image.filename(), base);
        try {
            return session.images().tryOpen(path, Images.Way.reading(format));
        } catch (BlockException e) {
            throw ToolException.of("Could not open new backing file '" + base + "': ", e);
        }
    }

    private static MemorySegment content(@Nullable Image image, long at, MemorySegment target)
            throws BlockException {
        if (image == null) {
            return target.fill((byte) 0);
        }
        image.read(at, target);
        return target;
    }

    /** Writes the sectors that would be others. */
    private static void copy(Image image, long at, MemorySegment was, MemorySegment willBe)
            throws BlockException {
        long length = was.byteSize();
        for (long from = 0; from < length; ) {
            long difference = was.asSlice(from).mismatch(willBe.asSlice(from));
            if (difference < 0) {
                return;
            }
            long start = from + difference & -4096L;
            long end = start;
            while (end < length && differs(was, willBe, end)) {
                end = Math.min(length, end + 4096);
            }
            image.write(at + start, was.asSlice(start, end - start));
            from = end;
        }
    }

    private static boolean differs(MemorySegment a, MemorySegment b, long at) {
        long length = Math.min(4096, a.byteSize() - at);
        return a.asSlice(at, length).mismatch(b.asSlice(at, length)) >= 0;
    }
}
