package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** {@code dd}: copies blocks of an image into a new one. */
final class Dd {
    private static final long PIECE = 2 << 20;

    private final Session session;

    Dd(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        Options options = session.options(line, "f= O= U|--force-share --object= --image-opts");
        Map<String, String> operands = new HashMap<>();
        for (String argument : options.arguments()) {
            int equals = argument.indexOf('=');
            if (equals < 0) {
                throw new ToolException("unrecognized operand " + argument);
            }
            String name = argument.substring(0, equals);
            if (!List.of("bs", "count", "if", "of", "skip").contains(name)) {
                throw new ToolException("unrecognized operand " + name);
            }
            operands.put(name, argument.substring(equals + 1));
        }
        long block = number(operands, "bs", 1, Integer.MAX_VALUE, 512);
        long count = number(operands, "count", 0, Long.MAX_VALUE, -1);
        long skip = number(operands, "skip", 0, Long.MAX_VALUE, 0);
        String from = operands.get("if");
        String to = operands.get("of");
        if (from == null || to == null) {
            throw new ToolException("Must specify both input and output files");
        }
        String format = options.get("O") == null ? "raw" : options.get("O");
        try (Image source = session.images().open(from, Images.Way.reading(options))) {
            if (!Formats.known(format)) {
                throw new ToolException("Unknown file format");
            }
            Formats.checkTarget("", format);
            long start = times(skip, block);
            long length = source.length();
            // As in qemu-img, what is skipped counts as well.
            long end = count < 0 ? length : Math.min(length, times(count, block));
            long size = Math.max(0, end - start);
            TargetOptions target = TargetOptions.parse("", format, List.of());
            new Create(session)
                    .make(to + ": error while creating output image: ", to, format, target, size);
            if (start > length) {
                session.console().error(from + ": cannot skip to specified offset");
                return 0;
            }
            Images.Way way = Images.Way.reading(format).writing();
            try (Image output = session.images().open(to, way)) {
                copy(source, start, size, output);
                output.flush();
            }
        }
        return 0;
    }

    private static long times(long blocks, long size) {
        long product = blocks * size;
        return Math.multiplyHigh(blocks, size) != 0 || product < 0 || product > Long.MAX_VALUE / 2
                ? Long.MAX_VALUE / 2
                : product;
    }

    private static long number(
            Map<String, String> operands, String name, long least, long most, long fallback)
            throws ToolException {
        String text = operands.get(name);
        return text == null ? fallback : Numbers.size(name, text, least, most);
    }

    private static void copy(Image source, long start, long size, Image output)
            throws BlockException {
        MemorySegment buffer = Arena.ofAuto().allocate(PIECE, 4096);
        for (long done = 0; done < size; done += PIECE) {
            MemorySegment part = buffer.asSlice(0, Math.min(PIECE, size - done));
            source.read(start + done, part);
            output.write(done, part);
        }
    }
}
