package lockstep.tools.daemon;

import lockstep.api.BlockExportOptions;
import lockstep.api.NbdServerOptions;
import lockstep.api.ObjectOptions;
import lockstep.block.node.BlockException;
import lockstep.block.open.NodeOpener;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevText;
import lockstep.runtime.commandline.ObjectText;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.process.VmmProcess;
import lockstep.tools.server.ServerProcess;
import lockstep.tools.shell.Console;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/** The program: does what its command line says in its order, then serves until it is told to end. */
public final class Main {
    private static final String KNOWN =
            "--blockdev= --chardev= --daemonize --export= --monitor= --nbd-server= --object="
                    + " --pidfile= T= --trace= V --version";

    private final Console console;

    private Main(Console console) {
        this.console = console;
    }

    /** Runs a command line and ends with its exit code. */
    public static void main(String[] line) {
        System.exit(new Main(Console.standard("")).run(Arrays.asList(line)));
    }

    private int run(List<String> line) {
        try {
            Options options = Options.parse(line, KNOWN, Options.Words.GETOPT);
            for (Options.Option option : options.given()) {
                switch (option.name()) {
                    case "h", "--help" -> {
                        console.print(Help.TEXT);
                        return 0;
                    }
                    case "V", "--version" -> {
                        console.print(Help.VERSION);
                        return 0;
                    }
                    default -> {}
                }
            }
            if (!options.arguments().isEmpty()) {
                throw new ToolException(options.arguments().getFirst() + ": Unexpected argument");
            }
            return ServerProcess.run(
                    console, options.has("--daemonize"), process -> start(process, options));
        } catch (ToolException e) {
            console.error(e);
            return e.code();
        }
    }

    /** Does what the options say; false when one of them only asked for something. */
    private boolean start(ServerProcess process, Options options) throws ToolException {
        DaemonCommands.install(process.vmm());
        for (Options.Option option : options.given()) {
            try {
                apply(process, option.name(), String.valueOf(option.text()));
            } catch (EndOfProgram e) {
                console.print(String.valueOf(e.getMessage()));
                return false;
            } catch (OptionException | ChardevException | BlockException e) {
                throw wrong(option, String.valueOf(e.getMessage()));
            } catch (QmpException e) {
                throw wrong(option, e.description());
            }
        }
        try {
            process.pidFile(options.get("--pidfile"));
        } catch (IOException e) {
            throw new ToolException("cannot create PID file: " + e.getMessage());
        }
        return true;
    }

    private static ToolException wrong(Options.Option option, String why) {
        return new ToolException(option.name() + " " + option.text() + ": " + why);
    }

    private static void apply(ServerProcess process, String option, String text)
            throws OptionException, ChardevException, QmpException, BlockException {
        VmmProcess vmm = process.vmm();
        switch (option) {
            case "--blockdev", "T", "--trace" -> {
                if (option.equals("--blockdev")) {
                    refuseHelp(text);
                }
                OptionHandler handler =
                        Objects.requireNonNull(
                                vmm.options()
                                        .find(option.equals("--blockdev") ? "blockdev" : "trace"));
                handler.parse(text);
                handler.apply(text);
            }
            case "--chardev" -> chardev(vmm, text);
            case "--export" -> export(process, text);
            case "--monitor" -> monitor(vmm, text);
            case "--nbd-server" -> {
                NbdServerOptions server = NbdServerOptions.read(visitor(text, null), null);
                process.disks().exports().startServer(NodeOpener.address(server.addr()), server);
            }
            case "--object" -> {
                ObjectOptions options = ObjectText.parse(text, vmm.objects().types());
                if (!OptionText.isIdentifier(options.id())) {
                    throw new OptionException(OptionValues.NO_IDENTIFIER);
                }
                vmm.objects().create(options);
            }
            default -> {}
        }
    }

    private static void chardev(VmmProcess vmm, String text)
            throws OptionException, ChardevException {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram(ChardevText.kinds());
        }
        ChardevText.Parsed parsed = ChardevText.option(text, vmm::warn);
        String id = parsed.id();
        if (id == null) {
            throw new OptionException("chardev: no id specified");
        }
        vmm.chardevs().create(id, parsed.config(), parsed.mux(), vmm::notice);
    }

    private static void export(ServerProcess process, String text)
            throws OptionException, QmpException {
        BlockExportOptions options = BlockExportOptions.read(visitor(text, "type"), null);
        process.execute(
                "block-export-add",
                (JsonObject) JsonOutputVisitor.toJson(options, BlockExportOptions::write));
    }

    private static void monitor(VmmProcess vmm, String text)
            throws OptionException, ChardevException {
        refuseHelp(text);
        OptionValues values = OptionValues.parse(text, "chardev");
        String name = values.get("chardev");
        if (name == null) {
            throw new OptionException("Parameter 'chardev' is missing");
        }
        values.only(Set.of("chardev", "id", "mode", "pretty"));
        boolean pretty = values.bool("pretty", false);
        String mode = values.get("mode", "control");
        if (!mode.equals("control") && !mode.equals("readline")) {
            throw new OptionException("Parameter 'mode' does not accept value '" + mode + "'");
        }
        Chardev device = vmm.chardevs().find(name);
        if (device == null) {
            throw new OptionException("chardev \"" + name + "\" not found");
        }
        if (!mode.equals("control")) {
            throw new OptionException("Only QMP is supported");
        }
        vmm.monitors().control(device, pretty);
    }

    private static InputVisitor visitor(String text, @Nullable String first)
            throws OptionException, QmpException {
        refuseHelp(text);
        return text.startsWith("{")
                ? new JsonInputVisitor(JsonStreamParser.parse(text))
                : new KeyvalInputVisitor(
                        KeyvalText.parse(text, first), KeyvalInputVisitor.Style.KEYVAL);
    }

    private static void refuseHelp(String text) throws OptionException {
        if (TypeHelp.askedForTypes(text)) {
            throw new OptionException("Help is not available for this option");
        }
    }
}
