package lockstep.block.job;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.FilterNode;
import lockstep.block.node.Role;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * An image and those that it reads from, down to a base that is none of them any more. Machine lock held where nothing
 * else is said.
 */
final class Chain {
    private final List<BlockNode> nodes = new ArrayList<>();

    /** Down to the end when {@code base} is null or not below. */
    Chain(@Nullable BlockNode top, @Nullable BlockNode base) {
        for (BlockNode node = top; node != null && node != base; node = below(node)) {
            nodes.add(node);
        }
    }

    /** From the topmost on. */
    List<BlockNode> nodes() {
        return nodes;
    }

    /** What a node reads from where it has nothing itself, or what it filters. */
    static @Nullable BlockNode below(BlockNode node) {
        if (node instanceof FilterNode) {
            ChildEdge edge = node.primaryChild();
            return edge != null && edge.role() == Role.FILTERED ? edge.node() : null;
        }
        return node.backing();
    }

    /** Past filters. */
    static BlockNode image(BlockNode node) {
        BlockNode at = node;
        while (at instanceof FilterNode && below(at) instanceof BlockNode next) {
            at = next;
        }
        return at;
    }

    /** The image of that file name; null when there is none. */
    @Nullable BlockNode find(String filename) {
        BlockNode above = null;
        for (BlockNode node : nodes) {
            if (!(node instanceof FilterNode)) {
                String own = node.plainFilename();
                if (own.equals(filename) || above != null && same(above, filename, own)) {
                    return node;
                }
                above = node;
            }
        }
        return null;
    }

    /** Whether a name, as the image above would have it, is that of a file. */
    private static boolean same(BlockNode above, String filename, String file) {
        try {
            Path from = Path.of(above.plainFilename()).toAbsolutePath();
            return from.resolveSibling(filename).toRealPath().equals(Path.of(file).toRealPath());
        } catch (IOException | InvalidPathException e) {
            return false;
        }
    }

    /** The node that reads from that one directly, past filters; null when none does. */
    @Nullable BlockNode over(BlockNode lower) {
        BlockNode above = null;
        for (BlockNode node : nodes) {
            if (node == lower) {
                return above;
            }
            if (!(node instanceof FilterNode)) {
                above = node;
            }
        }
        return null;
    }

    /** Whether a run is what one of these has; zeroes where none has it and the chain is too short. Inside; any thread. */
    BlockStatus status(long offset, long most) throws BlockException {
        long run = most;
        for (BlockNode node : nodes) {
            if (node instanceof FilterNode) {
                continue;
            }
            ChildEdge look = ChildEdge.look(node);
            if (offset >= look.length()) {
                return new BlockStatus(run, false, true, true);
            }
            BlockStatus status = look.status(offset, Math.min(run, look.length() - offset));
            run = status.length();
            if (status.allocated()) {
                return new BlockStatus(run, status.data(), status.zero(), true);
            }
        }
        return new BlockStatus(run, false, false, false);
    }
}
