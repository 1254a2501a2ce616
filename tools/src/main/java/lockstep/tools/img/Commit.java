package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** {@code commit}: writes what an image has into one below it. */
final class Commit {
    private static final long PIECE = 2 << 20;

    private final Session session;

    Commit(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options = session.options(line, "f= t= b= d p q r= --object= --image-opts");
        if (options.has("r")) {
            throw new ToolException("A rate limit (-r) is not supported");
        }
        String filename = options.onlyFile();
        CacheMode cache =
                CacheMode.of("Invalid cache option: ", options.get("t"), CacheMode.WRITEBACK);
        Images.Way way = Images.Way.reading(options).writing().unmapping().cached(cache);
        try (Progress progress = new Progress(session.console(), Session.progress(options));
                Image top = session.images().open(filename, way)) {
            BlockNode base = base(top.node(), filename, options.get("b"));
            top.shareBelow();
            session.images().graph().reopen(base, false);
            copy(top, base, progress);
            // As in qemu-img, the images above a base that was named are left alone.
            if (!options.has("d") && !options.has("b")) {
                top.makeEmpty();
                top.flush();
            }
            progress.report(1, 1);
        }
        session.say(options, "Image committed.");
        return 0;
    }

    private static BlockNode base(BlockNode top, String filename, @Nullable String name)
            throws ToolException {
        BlockNode backing = top.backing();
        if (name == null) {
            if (backing == null) {
                throw new ToolException("Image does not have a backing file");
            }
            return backing;
        }
        for (BlockNode node = backing; node != null; node = node.backing()) {
            if (node.plainFilename().equals(name)
                    || node.plainFilename().equals(Names.below(top.plainFilename(), name))) {
                return node;
            }
        }
        throw new ToolException(
                "Did not find '" + name + "' in the backing chain of '" + filename + "'");
    }

    private void copy(Image top, BlockNode base, Progress progress) throws BlockException {
        // The base is also what the image reads from; both are this program's, and one request runs
        // at a time.
        ChildEdge below = session.images().writer(base);
        try {
            long size = top.length();
            if (below.length() < size) {
                below.truncate(size);
            }
            MemorySegment buffer = Arena.ofAuto().allocate(PIECE, 4096);
            for (long at = 0; at < size; ) {
                BlockStatus status = above(top.node(), base, at, Math.min(PIECE, size - at));
                if (status.allocated()) {
                    if (status.zero()) {
                        below.writeZeroes(at, status.length(), true);
                    } else {
                        MemorySegment part = buffer.asSlice(0, status.length());
                        top.read(at, part);
                        below.write(at, part);
                    }
                }
                at += status.length();
                progress.report(at, size);
            }
            below.flush();
        } finally {
            session.images().graph().detach(below);
        }
    }

    /** Whether an image above the base, or any without one, has a run. */
    static BlockStatus above(BlockNode top, @Nullable BlockNode base, long at, long length)
            throws BlockException {
        long run = length;
        for (BlockNode node = top; node != null && node != base; node = node.backing()) {
            ChildEdge look = ChildEdge.look(node);
            if (at >= look.length()) {
                return new BlockStatus(run, false, true, true); // behind an image's end are zeroes
            }
            BlockStatus status = look.status(at, Math.min(run, look.length() - at));
            run = status.length();
            if (status.allocated()) {
                return status;
            }
        }
        return new BlockStatus(run, false, false, false);
    }
}
