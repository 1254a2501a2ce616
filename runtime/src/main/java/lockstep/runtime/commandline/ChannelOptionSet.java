package lockstep.runtime.commandline;

import lockstep.api.ObjectOptions;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevText;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.qtest.QtestLog;
import lockstep.runtime.qtest.QtestServer;
import lockstep.runtime.spi.DeviceException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Options about character devices, monitors, ports and objects. */
final class ChannelOptionSet {
    /** A monitor to be put on a device. */
    private record Pending(String option, String chardev, boolean control, boolean pretty) {}

    /** What a board has room for. */
    private static final int MAX_PARALLELS = 3;

    /** What others are made with, such as character devices and disks. */
    private static final Set<String> EARLY_OBJECTS =
            Set.of(
                    "authz-list",
                    "authz-list-file",
                    "authz-pam",
                    "authz-simple",
                    "iothread",
                    "secret",
                    "throttle-group",
                    "tls-creds-anon",
                    "tls-creds-psk",
                    "tls-creds-x509");

    private final VmmProcess vmm;
    private final GivenSettings settings;
    private final Set<String> chardevIds = new HashSet<>();
    private final Set<String> objectIds = new HashSet<>();
    private final List<String> monitorIds = new ArrayList<>();
    private final List<Pending> monitors = new ArrayList<>();
    private final List<ObjectOptions> objects = new ArrayList<>();
    private final List<String> serials = new ArrayList<>();
    private final List<String> parallels = new ArrayList<>();
    private int monitorsMade;
    private @Nullable String qtest;
    private @Nullable String qtestLog;
    private @Nullable Chardev qtestDevice;

    ChannelOptionSet(VmmProcess vmm, GivenSettings settings) {
        this.vmm = vmm;
        this.settings = settings;
    }

    void register() {
        add(
                SimpleOption.text("chardev")
                        .onParse(this::checkChardev)
                        .onApply(StartPhase.CHARDEVS, this::chardev)
                        .help("-chardev backend,id=id[,...]  adds a character device"));
        monitor("monitor", false, false, "-monitor dev  puts the human monitor on a device");
        monitor("qmp", true, false, "-qmp dev  puts a QMP monitor on a device");
        monitor("qmp-pretty", true, true, "-qmp-pretty dev  likewise, printing indented");
        add(
                SimpleOption.text("mon")
                        .onParse(this::checkMonitor)
                        .onApply(StartPhase.MONITORS, this::attachMonitor)
                        .help("-mon [chardev=]name[,mode=readline|control][,pretty=on|off]"));
        add(
                SimpleOption.text("serial")
                        .onParse(
                                a -> {
                                    serials.add(a);
                                    settings.serialGiven = true;
                                })
                        .help("-serial dev  puts a serial port on a device"));
        add(
                SimpleOption.text("parallel")
                        .onParse(
                                a -> {
                                    parallels.add(a);
                                    settings.parallelGiven = true;
                                })
                        .help("-parallel dev  likewise a parallel port"));
        add(
                SimpleOption.text("debugcon")
                        .onApply(StartPhase.DEVICES, this::debugcon)
                        .help("-debugcon dev  puts the firmware's messages on a device"));
        add(
                SimpleOption.flag("nographic")
                        .onParse(a -> settings.nographic = true)
                        .help("-nographic  no display; serial port and monitor on the terminal"));
        add(SimpleOption.text("display").onParse(this::display).help("-display none  no display"));
        add(
                SimpleOption.text("object")
                        .onParse(this::checkObject)
                        .onApply(StartPhase.EARLY_OBJECTS, this::earlyObject)
                        .help("-object type,id=id[,prop=value][,...]  adds an object"));
        add(
                SimpleOption.text("qtest")
                        .onParse(
                                text -> {
                                    qtest = text;
                                    checkCompat(text);
                                })
                        .onApply(StartPhase.CHARDEVS, this::openQtest)
                        .help("-qtest dev  has a test drive the machine over a device"));
        add(
                SimpleOption.text("qtest-log")
                        .onParse(file -> qtestLog = file)
                        .help("-qtest-log file|none  where the lines of -qtest are written"));
        add(SimpleOption.step(StartPhase.MONITORS, none -> startQtest()));
        add(SimpleOption.step(StartPhase.SETTINGS, none -> defaults()));
        add(SimpleOption.step(StartPhase.CHARDEVS, none -> defaultMonitor()));
        add(SimpleOption.step(StartPhase.OBJECTS, none -> lateObjects()));
        add(SimpleOption.step(StartPhase.MONITORS, none -> attach()));
    }

    private void add(SimpleOption option) {
        vmm.option(option);
    }

    // ---- character devices

    private void checkChardev(String text) throws OptionException {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram(ChardevText.kinds());
        }
        String id = ids(text);
        if (id != null && !chardevIds.add(id)) {
            throw new OptionException("Duplicate ID '" + id + "' for chardev");
        }
    }

    private @Nullable String ids(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, "backend");
        return values.id();
    }

    private void chardev(String text) throws OptionException {
        ChardevText.Parsed parsed = ChardevText.option(text, vmm::warnOption);
        String id = parsed.id();
        if (id == null) {
            throw new OptionException("chardev: no id specified");
        }
        create(id, parsed);
    }

    private Chardev create(String id, ChardevText.Parsed parsed) throws OptionException {
        try {
            return vmm.chardevs().create(id, parsed.config(), parsed.mux(), vmm::notice);
        } catch (ChardevException e) {
            throw new OptionException(String.valueOf(e.getMessage()));
        }
    }

    // ---- monitors

    private void monitor(String name, boolean control, boolean pretty, String help) {
        add(
                SimpleOption.text(name)
                        .onParse(
                                text -> {
                                    settings.monitorGiven = true;
                                    checkCompat(text);
                                })
                        .onApply(
                                StartPhase.CHARDEVS,
                                text -> makeMonitor("-" + name, text, control, pretty))
                        .help(help));
    }

    private void checkCompat(String text) throws OptionException {
        if (!text.startsWith("none") && !text.startsWith("chardev:")) {
            try {
                ChardevText.compat(text);
            } catch (OptionException e) {
                throw explained(text, e);
            }
        }
    }

    /** Prints the first of two sentences on its own, with the option in front, as QEMU does. */
    private OptionException explained(String text, OptionException e) {
        String message = String.valueOf(e.getMessage());
        int line = message.indexOf("\nparse error:");
        if (line < 0) {
            return e;
        }
        vmm.notice(message.substring(0, line));
        return new OptionException(message.substring(line + 1));
    }

    private void makeMonitor(String option, String text, boolean control, boolean pretty)
            throws OptionException {
        String shown = option + " " + text;
        if (text.startsWith("none")) {
            return;
        }
        if (text.startsWith("chardev:")) {
            monitors.add(new Pending(shown, text.substring(8), control, pretty));
            return;
        }
        String id = "compat_monitor" + monitorsMade++;
        create(id, ChardevText.compat(text));
        monitors.add(new Pending(shown, id, control, pretty));
    }

    private void checkMonitor(String text) throws OptionException {
        settings.monitorGiven = true;
        OptionValues values =
                OptionValues.parse(text, "chardev").only(Set.of("chardev", "mode", "pretty", "id"));
        values.bool("pretty");
        String id = values.id();
        if (id != null && monitorIds.contains(id)) {
            throw new OptionException("Duplicate ID '" + id + "' for mon");
        }
        if (id != null) {
            monitorIds.add(id);
        }
    }

    private void attachMonitor(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, "chardev");
        String chardev = values.get("chardev");
        if (chardev == null) {
            throw new OptionException("Parameter 'chardev' is missing");
        }
        String mode = values.get("mode", "readline");
        if (!mode.equals("readline") && !mode.equals("control")) {
            throw new OptionException("Parameter 'mode' does not accept value '" + mode + "'");
        }
        boolean control = mode.equals("control");
        boolean pretty = values.bool("pretty", false);
        if (pretty && !control) {
            throw new OptionException("'pretty' is not compatible with HMP monitors");
        }
        attach(new Pending("-mon " + text, chardev, control, pretty));
    }

    private void attach(Pending monitor) throws OptionException {
        Chardev device = vmm.chardevs().find(monitor.chardev());
        if (device == null) {
            throw refused(monitor, "chardev \"" + monitor.chardev() + "\" not found");
        }
        try {
            if (monitor.control()) {
                vmm.monitors().control(device, monitor.pretty());
            } else {
                vmm.monitors().readline(device, true);
            }
        } catch (ChardevException e) {
            throw refused(monitor, String.valueOf(e.getMessage()));
        }
    }

    private static OptionException refused(Pending monitor, String why) {
        return new OptionException(monitor.option() + ": " + why, false);
    }

    private void defaults() {
        if (settings.noDefaults) {
            return;
        }
        boolean ports = !settings.noMachine();
        boolean serial = ports && serials.isEmpty() && !settings.drivers.contains("isa-serial");
        if (settings.nographic) {
            if (serial) {
                serials.add(settings.monitorGiven ? "stdio" : "mon:stdio");
            }
        } else if (serial) {
            // Without a display there is no virtual console to put the port on.
            serials.add("null");
        }
        if (ports && parallels.isEmpty() && !settings.drivers.contains("isa-parallel")) {
            // The port is there with -nographic or without: it has a section in the migration
            // stream.
            parallels.add("null");
        }
    }

    private void defaultMonitor() throws OptionException {
        boolean serialHasIt = !settings.noMachine() && serials.contains("mon:stdio");
        if (!settings.noDefaults && settings.nographic && !settings.monitorGiven && !serialHasIt) {
            makeMonitor("-monitor", "stdio", false, false);
        }
    }

    private void attach() throws OptionException {
        for (Pending monitor : monitors) {
            attach(monitor);
        }
        for (int i = 0; i < serials.size(); i++) {
            settings.serials.add(port("serial", i, serials.get(i)));
        }
        for (String parallel : parallels) {
            int index = settings.parallels.size();
            Chardev device = port("parallel", index, parallel);
            if (device != null) {
                if (index == MAX_PARALLELS) {
                    throw new OptionException(
                            "-parallel " + parallel + ": too many parallel ports", false);
                }
                settings.parallels.add(device);
            }
        }
    }

    private @Nullable Chardev port(String kind, int index, String text) throws OptionException {
        return text.equals("none")
                ? null
                : backend(
                        kind,
                        kind + index,
                        text,
                        "could not connect " + kind + " device to character backend");
    }

    /** The character device that an option's text describes or names. */
    private Chardev backend(String option, String id, String text, String failure)
            throws OptionException {
        String where = "-" + option + " " + text + ": ";
        try {
            if (text.startsWith("chardev:")) {
                Chardev device = vmm.chardevs().find(text.substring(8));
                if (device == null) {
                    throw new OptionException("chardev \"" + text.substring(8) + "\" not found");
                }
                return device;
            }
            ChardevText.Parsed parsed = ChardevText.compat(text);
            Chardev device = create(id, parsed);
            if (parsed.mux()) {
                vmm.monitors().readline(device, true);
            }
            return device;
        } catch (OptionException | ChardevException e) {
            String why = String.valueOf(e.getMessage());
            if (!why.startsWith("parse error:")) {
                vmm.report(where + why.lines().findFirst().orElse(why));
            }
            throw new OptionException(where + failure + " '" + text + "'", false);
        }
    }

    private void debugcon(String text) throws OptionException {
        Chardev device = backend("debugcon", "debugcon", text, "invalid character backend");
        try {
            vmm.devices()
                    .create(
                            Map.of(
                                    "driver", "isa-debugcon",
                                    "id", "debugcon",
                                    "chardev", device.id()));
        } catch (DeviceException e) {
            throw new OptionException(String.valueOf(e.getMessage()));
        }
    }

    private void display(String text) throws OptionException {
        String kind = OptionValues.parse(text, "type").get("type", "");
        switch (kind) {
            case "" -> throw new OptionException("Parameter 'type' is missing");
            case "none" -> settings.display = false;
            case "help", "?" -> throw new EndOfProgram("Available display backend types:\nnone\n");
            default ->
                    throw new OptionException(
                            "Parameter 'type' does not accept value '" + kind + "'");
        }
    }

    private void openQtest(String text) throws OptionException {
        qtestDevice = backend("qtest", "qtest", text, "Failed to initialize device for qtest");
    }

    private void startQtest() throws OptionException {
        Chardev device = qtestDevice;
        if (device == null) {
            return;
        }
        try {
            new QtestServer(vmm, device, QtestLog.open(qtestLog));
        } catch (IOException e) {
            throw new OptionException("-qtest " + qtest + ": " + e.getMessage(), false);
        }
    }

    // ---- objects

    private void checkObject(String text) throws OptionException {
        ObjectOptions options = ObjectText.parse(text, vmm.objects().types());
        if (!OptionText.isIdentifier(options.id())) {
            throw new OptionException(OptionValues.NO_IDENTIFIER);
        }
        if (!objectIds.add(options.id())) {
            throw new OptionException("Duplicate ID '" + options.id() + "' for object");
        }
        objects.add(options);
    }

    private void earlyObject(String text) throws OptionException {
        ObjectOptions options = ObjectText.parse(text, vmm.objects().types());
        if (EARLY_OBJECTS.contains(options.qomType().wireName())) {
            try {
                vmm.objects().create(options);
            } catch (QmpException e) {
                throw new OptionException(e.description());
            }
        }
    }

    private void lateObjects() throws OptionException {
        for (ObjectOptions options : objects) {
            if (!EARLY_OBJECTS.contains(options.qomType().wireName())) {
                try {
                    vmm.objects().create(options);
                } catch (QmpException e) {
                    throw new OptionException(e.description(), false);
                }
            }
        }
    }
}
