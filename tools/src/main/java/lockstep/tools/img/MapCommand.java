package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.qcow2.ImageRun;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** {@code map}: where an image's content is. */
final class MapCommand {
    private final Session session;
    private boolean any;

    MapCommand(Session session) {
        this.session = session;
    }

    /**
     * A run of the same kind.
     *
     * @param depth how far down the chain of images it is
     * @param offset where it is in the file of that name; negative when it is nowhere as it is
     */
    private record Extent(
            long start,
            long length,
            int depth,
            boolean present,
            boolean zero,
            boolean data,
            long offset,
            String filename) {
        boolean continues(Extent before) {
            return depth == before.depth
                    && present == before.present
                    && zero == before.zero
                    && data == before.data
                    && filename.equals(before.filename)
                    && (offset < 0
                            ? before.offset < 0
                            : before.offset >= 0 && offset == before.offset + before.length);
        }

        Extent with(Extent next) {
            return new Extent(
                    start, length + next.length, depth, present, zero, data, offset, filename);
        }
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "f|--format= U|--force-share --output= --object= --image-opts"
                                + " s|--start-offset= l|--max-length=");
        long start = number(options, "start offset", "s", 0);
        long most = number(options, "max length", "l", Long.MAX_VALUE);
        boolean json = Session.json(options);
        String filename = options.onlyFile();
        try (Image image = session.images().open(filename, Images.Way.reading(options))) {
            long length = image.length();
            long end = most > length - start ? length : start + most;
            session.console()
                    .print(json ? "[" : "Offset          Length          Mapped to       File\n");
            Extent last = null;
            for (long at = start; at < end; ) {
                Extent next = extent(image.node(), at, end - at);
                at += next.length;
                if (last != null && next.continues(last)) {
                    last = last.with(next);
                } else {
                    print(json, last);
                    last = next;
                }
            }
            print(json, last);
            if (json) {
                session.console().line("]");
            }
        }
        return 0;
    }

    private static long number(Options options, String what, String name, long fallback)
            throws ToolException {
        String text = options.get(name);
        return text == null ? fallback : Numbers.size(what, text, 0, Long.MAX_VALUE);
    }

    private static Extent extent(BlockNode top, long at, long most) throws BlockException {
        long length = most;
        int depth = 0;
        BlockNode node = top;
        while (true) {
            if (!(node instanceof Qcow2Node qcow2)) {
                BlockStatus status = ChildEdge.look(node).status(at, length);
                String name = node.plainFilename();
                boolean present = status.allocated();
                return new Extent(
                        at,
                        status.length(),
                        depth,
                        present,
                        status.zero(),
                        status.data(),
                        present ? at : -1,
                        name);
            }
            ImageRun run = qcow2.run(at, length);
            length = run.length();
            switch (run.kind()) {
                case ZERO -> {
                    return new Extent(
                            at, length, depth, true, true, false, run.hostOffset(), name(node));
                }
                case COMPRESSED -> {
                    return new Extent(at, length, depth, true, false, true, -1, name(node));
                }
                case DATA -> {
                    ChildEdge file = node.primaryChild();
                    BlockStatus below =
                            file == null
                                    ? new BlockStatus(length, true, false, true)
                                    : ChildEdge.look(file.node()).status(run.hostOffset(), length);
                    return new Extent(
                            at,
                            below.length(),
                            depth,
                            true,
                            below.zero(),
                            true,
                            run.hostOffset(),
                            name(node));
                }
                case UNALLOCATED -> {
                    BlockNode backing = node.backing();
                    long end = backing == null ? 0 : ChildEdge.look(backing).length();
                    if (backing == null || at >= end) {
                        return new Extent(at, length, depth, false, true, false, -1, "");
                    }
                    length = Math.min(length, end - at);
                    node = backing;
                    depth++;
                }
            }
        }
    }

    private static String name(BlockNode node) {
        ChildEdge file = node.primaryChild();
        return file == null ? node.plainFilename() : file.node().plainFilename();
    }

    private void print(boolean json, @Nullable Extent e) throws ToolException {
        if (e == null) {
            return;
        }
        if (json) {
            session.console()
                    .print(
                            (any ? ",\n" : "")
                                    + "{ \"start\": "
                                    + e.start
                                    + ", \"length\": "
                                    + e.length
                                    + ", \"depth\": "
                                    + e.depth
                                    + ", \"present\": "
                                    + e.present
                                    + ", \"zero\": "
                                    + e.zero
                                    + ", \"data\": "
                                    + e.data
                                    + (e.offset < 0 ? "" : ", \"offset\": " + e.offset)
                                    + "}");
            any = true;
        } else if (e.data && !e.zero) {
            if (e.offset < 0) {
                throw new ToolException(
                        "File contains external, encrypted or compressed clusters.");
            }
            session.console().line(hex(e.start) + hex(e.length) + hex(e.offset) + e.filename);
        }
    }

    private static String hex(long value) {
        String text = value == 0 ? "0" : "0x" + Long.toHexString(value);
        return text + " ".repeat(Math.max(0, 16 - text.length()));
    }
}
