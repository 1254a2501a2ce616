package lockstep.tools.img;

import lockstep.api.BlockDirtyBitmapAdd;
import lockstep.api.BlockDirtyBitmapMerge;
import lockstep.api.BlockDirtyBitmapOrStr;
import lockstep.block.monitor.BitmapQmp;
import lockstep.block.node.BlockException;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Locale;

/** {@code bitmap}: changes the bitmaps that an image keeps, as the commands of a running machine do. */
final class BitmapCommand {
    private static final List<String> ACTIONS =
            List.of("--add", "--remove", "--clear", "--enable", "--disable", "--merge");

    private final Session session;
    private final BitmapQmp bitmaps;

    BitmapCommand(Session session) {
        this.session = session;
        this.bitmaps = new BitmapQmp(session.images().graph());
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options =
                session.options(
                        line,
                        "b|--source-file= f= F|--source-format= g|--granularity= --add --remove"
                                + " --clear --enable --disable --merge= --object= --image-opts");
        long granularity =
                options.has("g")
                        ? Numbers.size("granularity", options.get("g") + "", 0, Long.MAX_VALUE)
                        : 0;
        List<Options.Option> actions =
                options.given().stream().filter(o -> ACTIONS.contains(o.name())).toList();
        if (actions.isEmpty()) {
            throw new ToolException(
                    "Need at least one of --add, --remove, --clear, --enable, --disable, or"
                            + " --merge");
        }
        if (granularity != 0 && !options.has("--add")) {
            throw new ToolException("granularity only supported with --add");
        }
        if (options.has("F") && !options.has("b")) {
            throw new ToolException("-F only supported with -b");
        }
        if (options.has("b") && !options.has("--merge")) {
            throw new ToolException("Merge bitmap source file only supported with --merge");
        }
        if (options.arguments().size() != 2) {
            throw new ToolException("Expecting filename and bitmap name");
        }
        String name = options.arguments().getLast();
        Images.Way way = Images.Way.reading(options).withoutBacking().writing();
        try (Image image = session.images().open(options.arguments().getFirst(), way)) {
            String other = options.get("b");
            if (other == null) {
                act(actions, image, image, name, granularity);
                return 0;
            }
            Images.Way looking = Images.Way.reading(options.get("F")).withoutBacking();
            try (Image source = session.images().open(other, looking)) {
                act(actions, image, source, name, granularity);
            }
        }
        return 0;
    }

    private void act(
            List<Options.Option> actions, Image image, Image source, String name, long granularity)
            throws ToolException {
        String node = image.node().name();
        for (Options.Option action : actions) {
            String verb = action.name().substring(2);
            try {
                switch (verb) {
                    case "add" -> add(node, name, granularity == 0 ? null : granularity, false);
                    case "remove" -> bitmaps.remove(node, name).commit();
                    case "clear" -> bitmaps.clear(node, name).commit();
                    case "enable", "disable" ->
                            bitmaps.record(node, name, verb.equals("enable")).commit();
                    default -> merge(source.node().name(), action.value(), node, name);
                }
            } catch (BlockException e) {
                throw ToolException.of(
                        String.format(
                                Locale.ROOT, "Operation %s on bitmap %s failed: ", verb, name),
                        e);
            }
        }
    }

    /** Adds one that the image keeps. */
    void add(String node, String name, @Nullable Long granularity, boolean disabled)
            throws BlockException {
        bitmaps.add(new BlockDirtyBitmapAdd(node, name, granularity, true, disabled)).commit();
    }

    /** Marks in one what another one has marked. */
    void merge(String from, String source, String to, String target) throws BlockException {
        bitmaps.merge(
                        new BlockDirtyBitmapMerge(
                                to,
                                target,
                                List.of(
                                        new BlockDirtyBitmapOrStr.External(
                                                new lockstep.api.BlockDirtyBitmap(from, source)))))
                .commit();
    }
}
