package lockstep.block.node;

import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;

/** The nodes of a graph by their names, which none of them shares with a drive. Any thread. */
public final class Names {
    private static final int LENGTH_MAX = 31;

    private final Map<String, BlockNode> nodes = new LinkedHashMap<>();
    private volatile Function<String, @Nullable RootUser> drives = name -> null;
    private int autoNames;

    Names() {}

    /** A fresh name that no user can choose. */
    synchronized String auto() {
        return String.format("#block%d%02d", autoNames++, ThreadLocalRandom.current().nextInt(100));
    }

    /** Whether a text is a valid identifier of a node, backend or export. */
    public static boolean wellFormed(String id) {
        if (id.isEmpty() || !isLetter(id.charAt(0))) {
            return false;
        }
        for (int i = 1; i < id.length(); i++) {
            char c = id.charAt(i);
            if (!isLetter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_') {
                return false;
            }
        }
        return true;
    }

    private static boolean isLetter(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }

    /** Errors when a user's node name is malformed or taken. */
    public synchronized void checkNodeName(String name) throws BlockException {
        if (!wellFormed(name)) {
            throw new BlockException(Errno.EINVAL, "Invalid node-name: '" + name + "'");
        }
        if (findDrive(name) != null) {
            throw new BlockException(
                    Errno.EINVAL, "node-name=" + name + " is conflicting with a device id");
        }
        if (nodes.containsKey(name)) {
            throw new BlockException(Errno.EINVAL, "Duplicate nodes with node-name='" + name + "'");
        }
        if (name.length() > LENGTH_MAX) {
            throw new BlockException(Errno.EINVAL, "Node name too long");
        }
    }

    synchronized void add(BlockNode node) throws BlockException {
        if (!node.name().startsWith("#")) {
            checkNodeName(node.name());
        }
        nodes.put(node.name(), node);
    }

    synchronized void remove(BlockNode node) {
        nodes.remove(node.name(), node);
    }

    /** The node of this name. */
    public synchronized @Nullable BlockNode findNode(String name) {
        return nodes.get(name);
    }

    /** All nodes, oldest first. */
    public synchronized List<BlockNode> nodes() {
        return new ArrayList<>(nodes.values());
    }

    /** Has drives share the names; {@code finder} knows them. */
    public void shareWith(Function<String, @Nullable RootUser> finder) {
        drives = finder;
    }

    /** The drive of this name. */
    public @Nullable RootUser findDrive(String name) {
        return drives.apply(name);
    }

    /** The node that a reference string names: a drive's root first, then a node. */
    public BlockNode lookup(String name) throws BlockException {
        return lookup(name, name);
    }

    /** Likewise where the two kinds of names are told apart; an empty one is none. */
    public BlockNode lookup(String device, String nodeName) throws BlockException {
        RootUser drive = findDrive(device);
        if (drive != null) {
            BlockNode root = drive.root();
            if (root == null) {
                throw new BlockException(Errno.ENOMEDIUM, "Device '" + device + "' has no medium");
            }
            return root;
        }
        BlockNode node = findNode(nodeName);
        if (node == null) {
            throw new BlockException(
                    Errno.EINVAL,
                    "Cannot find device='" + device + "' nor node-name='" + nodeName + "'");
        }
        return node;
    }
}
