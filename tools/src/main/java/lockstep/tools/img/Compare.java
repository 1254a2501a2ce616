package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockStatus;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** {@code compare}: whether two images have the same content. */
final class Compare {
    private static final long PIECE = 2 << 20;
    private static final int OPEN_FAILED = 2;
    private static final int STATUS_FAILED = 3;
    private static final int READ_FAILED = 4;

    private final Session session;
    private final MemorySegment first = Arena.ofAuto().allocate(PIECE, 4096);
    private final MemorySegment second = Arena.ofAuto().allocate(PIECE, 4096);

    Compare(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, Help.Wanted {
        Options options =
                session.options(line, "f= F= T= p q s U|--force-share --object= --image-opts");
        if (options.arguments().size() != 2) {
            throw ToolException.usage("Expecting two image file names");
        }
        CacheMode cache;
        try {
            cache =
                    CacheMode.of(
                            "Invalid source cache option: ", options.get("T"), CacheMode.WRITEBACK);
        } catch (ToolException e) {
            throw e.ending(OPEN_FAILED);
        }
        Images.Way way = Images.Way.reading(options).cached(cache);
        try (Progress progress = new Progress(session.console(), Session.progress(options));
                Image one = open(options.arguments().get(0), way);
                Image other = open(options.arguments().get(1), way.as(options.get("F")))) {
            String difference = compare(one, other, options, progress);
            progress.report(1, 1);
            session.say(options, difference == null ? "Images are identical." : difference);
            return difference == null ? 0 : 1;
        }
    }

    private Image open(String name, Images.Way way) throws ToolException {
        try {
            return session.images().open(name, way);
        } catch (ToolException e) {
            throw e.ending(OPEN_FAILED);
        }
    }

    private static long length(Image image) throws ToolException {
        try {
            return image.length();
        } catch (BlockException e) {
            throw ToolException.of("Can't get size of " + image.filename() + ": ", e)
                    .ending(READ_FAILED);
        }
    }

    private static BlockStatus status(Image image, long offset, long length) throws ToolException {
        try {
            return image.status(offset, length);
        } catch (BlockException e) {
            throw new ToolException(
                            "Sector allocation test failed for "
                                    + image.filename()
                                    + ": "
                                    + e.getMessage())
                    .ending(STATUS_FAILED);
        }
    }

    /** Whether an image or one below it has the first of a run. */
    private static boolean allocated(Image image, long at, BlockStatus status)
            throws ToolException {
        try {
            return status.allocated() || Commit.above(image.node(), null, at, 1).allocated();
        } catch (BlockException e) {
            throw ToolException.of("", e).ending(STATUS_FAILED);
        }
    }

    private static void read(Image image, long offset, MemorySegment target) throws ToolException {
        try {
            image.read(offset, target);
        } catch (BlockException e) {
            throw new ToolException(
                            "Error while reading offset "
                                    + offset
                                    + " of "
                                    + image.filename()
                                    + ": "
                                    + e.getMessage())
                    .ending(READ_FAILED);
        }
    }

    /** What is different first; null when nothing is. */
    private @Nullable String compare(Image one, Image other, Options options, Progress progress)
            throws ToolException {
        long length = length(one);
        long otherLength = length(other);
        boolean strict = options.has("s");
        if (strict && length != otherLength) {
            return "Strict mode: Image size mismatch!";
        }
        long both = Math.min(length, otherLength);
        long whole = Math.max(length, otherLength);
        for (long at = 0; at < both; ) {
            BlockStatus a = status(one, at, both - at);
            BlockStatus b = status(other, at, both - at);
            if (strict
                    && (a.data() != b.data()
                            || a.zero() != b.zero()
                            || allocated(one, at, a) != allocated(other, at, b))) {
                return "Strict mode: Offset " + at + " block status mismatch!";
            }
            long run = Math.min(a.length(), b.length());
            if (!a.zero() || !b.zero()) {
                run = Math.min(run, PIECE);
                MemorySegment left = content(one, a, first, at, run);
                MemorySegment right = content(other, b, second, at, run);
                long difference = left.mismatch(right);
                if (difference >= 0) {
                    return mismatch(at + difference);
                }
            }
            at += run;
            progress.report(at, whole);
        }
        if (length == otherLength) {
            return null;
        }
        session.say(options, "Warning: Image size mismatch!");
        return rest(length > otherLength ? one : other, both, whole, progress);
    }

    /** The longer image must be zeroes behind the other's end. */
    private @Nullable String rest(Image longer, long from, long end, Progress progress)
            throws ToolException {
        MemorySegment zeroes = second.fill((byte) 0);
        for (long at = from; at < end; ) {
            BlockStatus status = status(longer, at, end - at);
            long run = status.length();
            if (!status.zero()) {
                run = Math.min(run, PIECE);
                long difference =
                        content(longer, status, first, at, run).mismatch(zeroes.asSlice(0, run));
                if (difference >= 0) {
                    return mismatch(at + difference);
                }
            }
            at += run;
            progress.report(at, end);
        }
        return null;
    }

    private static MemorySegment content(
            Image image, BlockStatus status, MemorySegment buffer, long at, long length)
            throws ToolException {
        MemorySegment part = buffer.asSlice(0, length);
        if (status.zero()) {
            return part.fill((byte) 0);
        }
        read(image, at, part);
        return part;
    }

    /** Offsets are told in sectors. */
    private static String mismatch(long offset) {
        return "Content mismatch at offset " + (offset & -512L) + "!";
    }
}
