package lockstep.tools.img;

import lockstep.block.node.BlockException;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.ToolException;

import java.util.Arrays;
import java.util.List;

/** The program: finds the command and runs it. */
public final class Main {
    private final Console console;

    Main(Console console) {
        this.console = console;
    }

    /** Runs a command line and ends with its exit code. */
    public static void main(String[] line) {
        System.exit(new Main(Console.standard(Help.ADVICE)).run(Arrays.asList(line)));
    }

    /** Runs a command line; answers the exit code. */
    int run(List<String> line) {
        try {
            return runCommand(line);
        } catch (ToolException e) {
            console.error(e);
            return e.code();
        } catch (BlockException e) {
            console.error(ToolException.of("", e));
            return 1;
        }
    }

    private int runCommand(List<String> line) throws ToolException, BlockException {
        if (line.isEmpty()) {
            throw ToolException.usage("Not enough arguments");
        }
        String name = line.getFirst();
        switch (name) {
            case "-h", "--help" -> {
                console.print(Help.text());
                return 0;
            }
            case "-V", "--version" -> {
                console.line(Help.version());
                return 0;
            }
            default -> {
                if (name.startsWith("-")) {
                    throw ToolException.usage("unrecognized option '" + name + "'");
                }
            }
        }
        List<String> rest = line.subList(1, line.size());
        try (Images images = new Images(console)) {
            Session session = new Session(console, images);
            return switch (name) {
                case "bench" -> new Bench(session).run(rest);
                case "bitmap" -> new BitmapCommand(session).run(rest);
                case "check" -> new Check(session).run(rest);
                case "commit" -> new Commit(session).run(rest);
                case "compare" -> new Compare(session).run(rest);
                case "convert" -> new Convert(session).run(rest);
                case "create" -> new Create(session).run(rest);
                case "dd" -> new Dd(session).run(rest);
                case "info" -> new Info(session).run(rest);
                case "map" -> new MapCommand(session).run(rest);
                case "measure" -> new Measure(session).run(rest);
                case "rebase" -> new Rebase(session).run(rest);
                case "resize" -> new Resize(session).run(rest);
                case "snapshot" -> new SnapshotCommand(session).run(rest);
                case "amend" ->
                        throw new ToolException(
                                "amend is not supported: make a new image with other options and"
                                        + " copy this one into it with convert");
                default -> throw ToolException.usage("Command not found: " + name);
            };
        } catch (Help.Wanted e) {
            console.print(Help.text());
            return 0;
        }
    }
}
