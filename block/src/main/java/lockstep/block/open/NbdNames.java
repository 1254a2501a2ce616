package lockstep.block.open;

import lockstep.block.nbd.Nbd;
import lockstep.block.node.BlockException;
import lockstep.qmp.JsonObject;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.net.URI;
import java.net.URISyntaxException;

/**
 * File names that stand for an NBD export: {@code nbd:host:port}, {@code nbd://host/export} and
 * their kin.
 */
final class NbdNames {
    private NbdNames() {}

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    /** Puts server and export into a node's options. */
    static void parse(String filename, JsonObject node) throws BlockException {
        if (filename.startsWith("nbd+unix://")) {
            uri(filename, node, true);
        } else if (filename.contains("://")) {
            uri(filename, node, false);
        } else {
            colons(filename, node);
        }
    }

    private static void colons(String filename, JsonObject node) throws BlockException {
        String rest = filename.startsWith("nbd:") ? filename.substring(4) : filename;
        int marker = rest.indexOf(":exportname=");
        if (marker >= 0) {
            node.put("export", rest.substring(marker + 12));
            rest = rest.substring(0, marker);
        }
        if (rest.startsWith("unix:")) {
            node.put("path", rest.substring(5));
            return;
        }
        int colon = rest.lastIndexOf(':');
        if (colon <= 0) {
            throw bad("error parsing address '" + rest + "'");
        }
        node.put("host", rest.substring(0, colon)).put("port", rest.substring(colon + 1));
    }

    private static void uri(String filename, JsonObject node, boolean unix) throws BlockException {
        URI uri;
        try {
            uri = new URI(filename);
        } catch (URISyntaxException e) {
            throw bad("No valid URL specified");
        }
        String path = uri.getPath() == null ? "" : uri.getPath();
        String export = path.startsWith("/") ? path.substring(1) : path;
        if (!export.isEmpty()) {
            node.put("export", export);
        }
        if (unix) {
            String socket = socket(uri.getQuery());
            if (socket == null) {
                throw bad("No valid URL specified");
            }
            node.put("path", socket);
            return;
        }
        String host = uri.getHost();
        if (host == null) {
            throw bad("No valid URL specified");
        }
        node.put("host", host)
                .put(
                        "port",
                        Integer.toString(uri.getPort() < 0 ? Nbd.DEFAULT_PORT : uri.getPort()));
    }

    private static @Nullable String socket(@Nullable String query) {
        if (query != null) {
            for (String item : query.split("&")) {
                if (item.startsWith("socket=")) {
                    return item.substring(7);
                }
            }
        }
        return null;
    }
}
