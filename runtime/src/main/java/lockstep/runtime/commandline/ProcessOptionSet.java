package lockstep.runtime.commandline;

import lockstep.api.Audiodev;
import lockstep.api.SetActionArguments;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.command.LogItems;
import lockstep.runtime.linux.DescriptorSets;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.FileIo;
import lockstep.runtime.monitor.Version;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.trace.Trace;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/** Options about the process: name, log, trace, daemon, help. */
final class ProcessOptionSet {
    private final VmmProcess vmm;
    private final GivenSettings settings;
    private final ProcessControl process;

    ProcessOptionSet(VmmProcess vmm, GivenSettings settings, ProcessControl process) {
        this.vmm = vmm;
        this.settings = settings;
        this.process = process;
    }

    void register() {
        add(SimpleOption.flag("help", "h").onParse(a -> help()).help("-h or -help  this help"));
        add(
                SimpleOption.flag("version")
                        .onParse(a -> version())
                        .help("-version  prints the version"));
        add(
                SimpleOption.text("name")
                        .onParse(this::name)
                        .help("-name [guest=]name[,debug-threads=on|off]  names the guest"));
        add(
                SimpleOption.flag("nodefaults")
                        .onParse(a -> settings.noDefaults = true)
                        .help("-nodefaults  no default devices"));
        add(
                SimpleOption.flag("no-user-config")
                        .onParse(a -> {})
                        .help("-no-user-config  reads no configuration files (there are none)"));
        add(
                SimpleOption.flag("S")
                        .onParse(a -> settings.stopped = true)
                        .help("-S  does not start the guest (use cont)"));
        add(
                SimpleOption.flag("preconfig")
                        .onParse(a -> settings.preconfig = true)
                        .help("--preconfig  makes the machine when x-exit-preconfig says so"));
        add(
                SimpleOption.text("incoming")
                        .onParse(a -> settings.incoming = a)
                        .help("-incoming uri|defer  waits for a migration"));
        add(
                SimpleOption.text("loadvm")
                        .onParse(a -> settings.savedMachine = a)
                        .help("-loadvm tag  begins with a snapshot of the machine"));
        add(
                SimpleOption.flag("daemonize")
                        .onParse(a -> settings.daemonize = true)
                        .help("-daemonize  detaches from the terminal when it is ready"));
        add(
                SimpleOption.text("pidfile")
                        .onParse(a -> settings.pidFile = a)
                        .help("-pidfile file  writes the process id"));
        add(
                SimpleOption.text("D")
                        .onParse(this::logFile)
                        .help("-D file  where log and trace lines go"));
        add(
                SimpleOption.text("d")
                        .onParse(this::log)
                        .help("-d item,...  logs items, such as trace:PATTERN"));
        add(
                SimpleOption.text("trace")
                        .onParse(this::trace)
                        .help("-trace [enable=]pattern[,events=file][,file=file]  traces"));
        add(
                SimpleOption.text("msg")
                        .onParse(this::messages)
                        .help("-msg timestamp=on|off  puts the time in front of messages"));
        add(
                SimpleOption.text("run-with")
                        .onParse(this::runWith)
                        .help("-run-with exit-with-parent=on|off"));
        add(
                SimpleOption.text("action")
                        .onParse(this::action)
                        .help(
                                "-action"
                                    + " reboot=reset|shutdown,shutdown=poweroff|pause,panic=pause|shutdown|exit-failure|none"
                                    + "  what guests' events do"));
        add(
                SimpleOption.flag("no-shutdown")
                        .onParse(a -> vmm.run().stayAfterShutdown(true))
                        .help("-no-shutdown  stops instead of ending when the guest powers off"));
        add(
                SimpleOption.flag("no-reboot")
                        .onParse(a -> vmm.run().resetEnds(true))
                        .help("-no-reboot  ends instead of resetting"));
        add(
                SimpleOption.text("audiodev")
                        .onParse(this::soundBackend)
                        .help("-audiodev none,id=id  no sound; there is no other driver"));
        add(
                SimpleOption.text("audio")
                        .onParse(this::audio)
                        .help("-audio none  no sound; there is no other driver"));
        add(
                SimpleOption.text("overcommit")
                        .onParse(
                                a -> {
                                    OptionValues values =
                                            OptionValues.parse(a, null)
                                                    .only(Set.of("mem-lock", "cpu-pm"));
                                    checkMemLock(values.get("mem-lock", "off"));
                                    values.bool("cpu-pm", false);
                                }));
        add(
                SimpleOption.text("sandbox")
                        .onParse(
                                a -> {
                                    if (OptionValues.parse(a, "enable").bool("enable", false)) {
                                        throw new OptionException(
                                                "seccomp support is not in this build");
                                    }
                                }));
        add(
                SimpleOption.text("add-fd")
                        .onParse(this::addFd)
                        .help("-add-fd fd=fd,set=set[,opaque=text]  adds a descriptor to a set"));
        add(SimpleOption.step(StartPhase.SETTINGS, none -> check()));
    }

    private void action(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, null);
        JsonObject given = new JsonObject();
        values.values().forEach(given::put);
        try {
            SetActionArguments actions =
                    SetActionArguments.read(
                            new KeyvalInputVisitor(given, KeyvalInputVisitor.Style.OPTIONS), null);
            vmm.run().act(actions);
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    private static void checkMemLock(String value) throws OptionException {
        if (!Set.of("on", "off", "on-fault", "yes", "no", "true", "false", "y", "n")
                .contains(value)) {
            throw new OptionException(
                    "parameter 'mem-lock' expects one of 'on', 'off', 'on-fault'");
        }
    }

    private void add(OptionHandler option) {
        vmm.option(option);
    }

    private void check() throws OptionException {
        if (settings.daemonize
                && settings.nographic
                && !settings.noDefaults
                && (!settings.serialGiven || !settings.monitorGiven)
                && !settings.noMachine()) {
            throw new OptionException("-nographic cannot be used with -daemonize", false);
        }
    }

    private static String versionLines() {
        return "QEMU emulator version "
                + Version.text()
                + "\nLockstep, a virtual machine monitor with the interface of that version\n";
    }

    private static void version() throws EndOfProgram {
        throw new EndOfProgram(versionLines());
    }

    private void help() throws EndOfProgram {
        StringBuilder out =
                new StringBuilder(
                        versionLines()
                                + "usage: "
                                + vmm.program()
                                + " [options] [disk_image]\n\n"
                                + "'disk_image' is a raw hard disk image for IDE hard disk 0\n\n");
        for (OptionHandler option : vmm.options().all()) {
            if (!option.help().isEmpty()) {
                out.append(option.help()).append('\n');
            }
        }
        throw new EndOfProgram(out.toString());
    }

    /** What a failed file operation said, in the C library's words where they are known. */
    private static String reason(IOException e) {
        return switch (e) {
            case java.nio.file.NoSuchFileException n -> "No such file or directory";
            case java.nio.file.AccessDeniedException n -> "Permission denied";
            default -> String.valueOf(e.getMessage());
        };
    }

    private void audio(String text) throws OptionException {
        soundHelp(text);
        String driver = OptionValues.parse(text, "driver").get("driver", "");
        if (!driver.equals("none")) {
            throw new OptionException("Parameter 'driver' does not accept value '" + driver + "'");
        }
    }

    private static void soundHelp(String text) throws OptionException {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram("Available audio drivers:\nnone\n");
        }
    }

    private void soundBackend(String text) throws OptionException {
        soundHelp(text);
        try {
            InputVisitor visitor;
            if (text.startsWith("{")) {
                if (!(JsonStreamParser.parse(text) instanceof JsonObject object)) {
                    throw new OptionException("JSON object expected");
                }
                visitor = new JsonInputVisitor(object);
            } else {
                visitor =
                        new KeyvalInputVisitor(
                                OptionText.parse(text, "driver").toTree(),
                                KeyvalInputVisitor.Style.KEYVAL);
            }
            settings.soundBackends.add(SoundSettings.complete(Audiodev.read(visitor, null)));
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    private void addFd(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, null).only(Set.of("fd", "set", "opaque"));
        long fd = values.number("fd", -1);
        if (fd < 0) {
            throw new OptionException("fd option is required and must be non-negative");
        }
        if (fd <= 2) {
            throw new OptionException("fd cannot be a standard I/O stream");
        }
        if (fd > Integer.MAX_VALUE || !FileIo.isInherited((int) fd)) {
            throw new OptionException("fd is not valid or already in use");
        }
        long set = values.number("set", -1);
        if (set < 0) {
            throw new OptionException("set option is required and must be non-negative");
        }
        DescriptorSets.add(set, new Fd((int) fd), values.get("opaque"));
    }

    private void name(String text) throws OptionException {
        OptionValues values =
                OptionValues.parse(text, "guest").only(Set.of("guest", "process", "debug-threads"));
        settings.debugThreads = values.bool("debug-threads", true);
        String guest = values.get("guest");
        if (guest != null) {
            settings.name = guest;
        }
    }

    private void logFile(String path) throws OptionException {
        int percent = path.indexOf('%');
        if (percent >= 0 && !path.startsWith("%d", percent)) {
            throw new OptionException("Bad logfile format: " + path, false);
        }
        try {
            Trace.openFile(
                    Path.of(path.replace("%d", String.valueOf(ProcessHandle.current().pid()))));
        } catch (IOException e) {
            throw new OptionException("Error opening logfile " + path + ": " + reason(e), false);
        }
    }

    private void log(String items) throws OptionException {
        if (TypeHelp.askedForTypes(items)) {
            throw new EndOfProgram(
                    LogItems.help() + "Use \"-d trace:help\" to get a list of trace events.\n\n");
        }
        for (String item : items.split(",")) {
            if (item.equals("trace:help")) {
                throw new EndOfProgram(eventNames());
            }
            if (item.startsWith("trace:")) {
                enable(item.substring(6));
            }
            if (!item.startsWith("trace:") && !LogItems.known(item)) {
                throw new OptionException(
                        "log item '" + item + "' does not exist; -d help lists them");
            }
        }
    }

    private static String eventNames() {
        StringBuilder out = new StringBuilder();
        Trace.match("*").forEach(e -> out.append(e.name()).append('\n'));
        return out.toString();
    }

    private void trace(String text) throws OptionException {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram(eventNames());
        }
        OptionValues values =
                OptionValues.parse(text, "enable").only(Set.of("enable", "events", "file"));
        String enable = values.get("enable");
        if (enable != null) {
            enable(enable);
        }
        String file = values.get("file");
        if (file != null) {
            logFile(file);
        }
        String events = values.get("events");
        if (events != null) {
            try {
                for (String line : Files.readAllLines(Path.of(events), StandardCharsets.UTF_8)) {
                    if (!line.isBlank() && !line.startsWith("#")) {
                        enable(line.strip());
                    }
                }
            } catch (IOException e) {
                throw new OptionException(events + ": " + reason(e), false);
            }
        }
    }

    private void enable(String text) {
        boolean on = !text.startsWith("-");
        String pattern = on ? text : text.substring(1);
        if (!Trace.enable(pattern, on)) {
            vmm.warnOption("trace event '" + pattern + "' does not exist");
        }
    }

    private void messages(String text) throws OptionException {
        OptionValues values =
                OptionValues.parse(text, "timestamp").only(Set.of("timestamp", "guest-name"));
        settings.messageTimestamps = values.bool("timestamp", false);
        settings.messageNames = values.bool("guest-name", false);
        Trace.timestamps(settings.messageTimestamps);
    }

    private void runWith(String text) throws OptionException {
        OptionValues values =
                OptionValues.parse(text, null)
                        .only(Set.of("async-teardown", "chroot", "exit-with-parent", "user"));
        if (values.get("chroot") != null || values.get("user") != null) {
            throw new OptionException(
                    "changing root or user is not supported by this build; start it as that user");
        }
        if (values.bool("exit-with-parent", false)) {
            process.exitWithParent();
        }
    }
}
