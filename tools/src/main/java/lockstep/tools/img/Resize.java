package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.qmp.NumberText;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** {@code resize}. */
final class Resize {
    private static final int PIECE = 1 << 20;

    private final Session session;

    Resize(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, BlockException, Help.Wanted {
        // The size may begin with a dash, so it is taken away before options are looked for.
        if (line.isEmpty()) {
            throw ToolException.usage("Not enough arguments");
        }
        String wanted = line.getLast();
        Options options =
                session.options(
                        wanted.equals("--help") || wanted.equals("-h")
                                ? line
                                : line.subList(0, line.size() - 1),
                        "f= q --object= --image-opts --preallocation= --shrink");
        String mode = options.get("--preallocation");
        if (mode != null && !List.of("off", "metadata", "falloc", "full").contains(mode)) {
            throw new ToolException("Invalid preallocation mode '" + mode + "'");
        }
        if (line.size() == 1) {
            throw ToolException.usage("Not enough arguments");
        }
        String filename = options.onlyFile();
        char sign = wanted.isEmpty() ? '0' : wanted.charAt(0);
        boolean relative = sign == '+' || sign == '-';
        NumberText number = NumberText.size(relative ? wanted.substring(1) : wanted);
        if (number.outcome() != NumberText.Outcome.NUMBER || number.value() < 0) {
            throw new ToolException("Parameter 'size' expects a non-negative number below 2^64")
                    .advising(
                            "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-,"
                                    + " peta-\nand exabytes, respectively.\n");
        }
        try (Image image = session.images().open(filename, Images.Way.reading(options).writing())) {
            long old = image.length();
            long size =
                    switch (sign) {
                        case '+' -> old + number.value();
                        case '-' -> old - number.value();
                        default -> number.value();
                    };
            if (size <= 0) {
                throw new ToolException("New image size must be positive");
            }
            if (size <= old && mode != null && !mode.equals("off")) {
                throw new ToolException("Preallocation can only be used for growing images");
            }
            if (size < old && !options.has("--shrink")) {
                throw new ToolException("Use the --shrink option to perform a shrink operation.")
                        .advising(
                                Console.PROGRAM
                                        + ": warning: Shrinking an image will delete all data"
                                        + " beyond the shrunken image's end. Before performing such"
                                        + " an operation, make sure there is no important data"
                                        + " there.\n");
            }
            image.truncate(size);
            if (size > old) {
                grown(image, old, size, mode == null ? "off" : mode);
            }
            image.flush();
        }
        session.say(options, "Image resized.");
        return 0;
    }

    private static void grown(Image image, long old, long size, String mode)
            throws ToolException, BlockException {
        if (mode.equals("off")) {
            return;
        }
        if (image.qcow2() != null) {
            Create.preallocate(image, old, size - old, mode);
        } else if (mode.equals("falloc")) {
            image.writeZeroes(old, size - old, false);
        } else if (mode.equals("full")) {
            MemorySegment zeroes = MemorySegment.ofArray(new byte[PIECE]);
            for (long at = old; at < size; at += PIECE) {
                image.write(at, zeroes.asSlice(0, Math.min(PIECE, size - at)));
            }
        } else {
            throw new ToolException("Unsupported preallocation mode '" + mode + "'");
        }
    }
}
