package lockstep.tools.img;

import lockstep.tools.shell.Console;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import java.util.List;

/** What every command works with. */
record Session(Console console, Images images) {
    /** Reads a command's options; ends it when the user wants help. */
    Options options(List<String> line, String known) throws ToolException, Help.Wanted {
        Options options = Options.parse(line, known);
        if (options.asksForHelp()) {
            throw new Help.Wanted();
        }
        for (String text : options.all("--object")) {
            images.secrets().add(text);
        }
        if (options.has("--image-opts") && options.has("f")) {
            throw new ToolException("--image-opts and --format are mutually exclusive");
        }
        return options;
    }

    /** Prints what is no result, unless the user wants quiet. */
    void say(Options options, String text) {
        if (!options.has("q")) {
            console.line(text);
        }
    }

    /** Whether output is to be JSON. */
    static boolean json(Options options) throws ToolException {
        String output = options.get("--output");
        if (output == null || output.equals("human")) {
            return false;
        }
        if (!output.equals("json")) {
            throw new ToolException("--output must be used with human or json as argument.");
        }
        return true;
    }

    /** Whether to show how far the command is. */
    static boolean progress(Options options) {
        return options.has("p") && !options.has("q");
    }
}
