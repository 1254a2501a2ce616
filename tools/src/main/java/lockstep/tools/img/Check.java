package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.qcow2.Qcow2Check;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.tools.shell.CacheMode;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Locale;

/** {@code check}: whether an image is sound, and what to do if it is not. */
final class Check {
    private static final int FAILED = 1;
    private static final int CORRUPT = 2;
    private static final int LEAKS = 3;
    private static final int NO_FORMAT = 63;

    private final Session session;

    Check(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "f|--format= r|--repair= T= q U|--force-share --output= --object="
                                + " --image-opts");
        boolean json = Session.json(options);
        String repair = options.get("r");
        Qcow2Check.Fix fix =
                switch (repair) {
                    case null -> Qcow2Check.Fix.NONE;
                    case "leaks" -> Qcow2Check.Fix.LEAKS;
                    case "all" -> Qcow2Check.Fix.ALL;
                    default ->
                            throw ToolException.usage(
                                    "Unknown option value for -r (expecting 'leaks' or 'all'): "
                                            + repair);
                };
        CacheMode cache =
                CacheMode.of(
                        "Invalid source cache option: ", options.get("T"), CacheMode.WRITEBACK);
        String filename = options.onlyFile();
        BlockNode file = file(filename, Images.Way.reading(options).withoutBacking().cached(cache));
        if (file == null) {
            session.console().error("This image format does not support checks");
            return NO_FORMAT;
        }
        BlockGraph graph = session.images().graph();
        try {
            return check(options, json, filename, file, fix);
        } catch (BlockException e) {
            throw ToolException.of("Check failed: ", e).ending(FAILED);
        } finally {
            graph.release(file);
        }
    }

    /** The file that an image is in, with a reference; null when the format has no checks. */
    private @Nullable BlockNode file(String filename, Images.Way way) throws ToolException {
        try (Image image = session.images().open(filename, way)) {
            ChildEdge storage = image.qcow2() == null ? null : image.node().primaryChild();
            return storage == null ? null : session.images().graph().retain(storage.node());
        }
    }

    private int check(
            Options options, boolean json, String filename, BlockNode file, Qcow2Check.Fix fix)
            throws BlockException {
        BlockGraph graph = session.images().graph();
        if (fix != Qcow2Check.Fix.NONE) {
            graph.reopen(file, false);
        }
        ChildEdge edge =
                fix == Qcow2Check.Fix.NONE
                        ? session.images().reader(file)
                        : session.images().writer(file);
        Qcow2Check.Result result;
        try {
            result = Qcow2Check.check(edge, fix, text -> session.console().plainError(text + "\n"));
            long leaks = result.leaksFixed;
            long corruptions = result.corruptionsFixed;
            if (leaks + corruptions > 0) {
                if (!json && !options.has("q")) {
                    session.console()
                            .print(
                                    "The following inconsistencies were found and repaired:\n\n"
                                            + "    "
                                            + leaks
                                            + " leaked clusters\n    "
                                            + corruptions
                                            + " corruptions\n\n"
                                            + "Double checking the fixed image now...\n");
                }
                result =
                        Qcow2Check.check(
                                edge,
                                Qcow2Check.Fix.NONE,
                                text -> session.console().plainError(text + "\n"));
                result.leaksFixed = leaks;
                result.corruptionsFixed = corruptions;
            }
        } finally {
            graph.detach(edge);
        }
        if (json) {
            session.console().line(JsonPrinter.pretty(json(filename, result)));
        } else if (!options.has("q")) {
            session.console().print(human(result));
        }
        return result.corruptions > 0 ? CORRUPT : result.leaks > 0 ? LEAKS : 0;
    }

    private static JsonObject json(String filename, Qcow2Check.Result result) {
        JsonObject object = new JsonObject();
        object.put("filename", filename).put("format", "qcow2").put("check-errors", 0);
        putSome(object, "image-end-offset", result.imageEnd);
        putSome(object, "corruptions", result.corruptions);
        putSome(object, "leaks", result.leaks);
        putSome(object, "corruptions-fixed", result.corruptionsFixed);
        putSome(object, "leaks-fixed", result.leaksFixed);
        putSome(object, "total-clusters", result.total);
        putSome(object, "allocated-clusters", result.allocated);
        putSome(object, "fragmented-clusters", result.fragmented);
        putSome(object, "compressed-clusters", result.compressed);
        return object;
    }

    private static void putSome(JsonObject object, String name, long value) {
        if (value != 0) {
            object.put(name, value);
        }
    }

    private static String human(Qcow2Check.Result result) {
        StringBuilder out = new StringBuilder();
        if (result.corruptions == 0 && result.leaks == 0) {
            out.append("No errors were found on the image.\n");
        }
        if (result.corruptions != 0) {
            out.append('\n')
                    .append(result.corruptions)
                    .append(" errors were found on the image.\n")
                    .append(
                            "Data may be corrupted, or further writes to the image may corrupt"
                                    + " it.\n");
        }
        if (result.leaks != 0) {
            out.append('\n')
                    .append(result.leaks)
                    .append(" leaked clusters were found on the image.\n")
                    .append("This means waste of disk space, but no harm to data.\n");
        }
        if (result.total != 0 && result.allocated != 0) {
            out.append(
                    String.format(
                            Locale.ROOT,
                            "%d/%d = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed"
                                    + " clusters%n",
                            result.allocated,
                            result.total,
                            100.0 * result.allocated / result.total,
                            100.0 * result.fragmented / result.allocated,
                            100.0 * result.compressed / result.allocated));
        }
        if (result.imageEnd != 0) {
            out.append("Image end offset: ").append(result.imageEnd).append('\n');
        }
        return out.toString();
    }
}
