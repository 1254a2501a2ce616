package lockstep.runtime.commandline;

import lockstep.api.BootConfiguration;
import lockstep.api.MachineOptions;
import lockstep.api.MachineOptionsMembers;
import lockstep.api.SMPConfiguration;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.NumberText;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.runtime.command.RuntimeCommands;
import lockstep.runtime.machine.EmptyBoard;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.object.RecordType;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineConfig;
import lockstep.runtime.spi.MachineType;

import org.jspecify.annotations.Nullable;

import java.time.DateTimeException;
import java.time.LocalDateTime;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Options about the board: {@code -machine}, {@code -m}, {@code -cpu}, and the making of it. */
final class MachineOptionSet {
    private static final int MAX_CPUS = 255;

    private static final Set<String> VGA_TYPES =
            Set.of("cg3", "cirrus", "none", "qxl", "std", "tcx", "virtio", "vmware", "xenfb");

    private final VmmProcess vmm;
    private final GivenSettings settings;
    private final Set<String> deviceIds = new HashSet<>();
    private final MachineMemory ram;
    private final AcceleratorOption accelerators;
    private @Nullable MachineType<?> type;

    MachineOptionSet(VmmProcess vmm, GivenSettings settings) {
        this.vmm = vmm;
        this.settings = settings;
        ram = new MachineMemory(vmm, settings);
        accelerators = new AcceleratorOption(vmm);
    }

    void register() {
        add(
                SimpleOption.text("machine", "M")
                        .onParse(this::machine)
                        .help("-machine [type=]name[,prop[=value][,...]]  selects the machine"));
        add(
                SimpleOption.text("accel")
                        .onParse(accelerators::check)
                        .onApply(StartPhase.MACHINE, accelerators::open)
                        .help(
                                "-accel name[,prop=value]  what runs the guest; more are tried in"
                                        + " order"));
        add(
                SimpleOption.flag("enable-kvm")
                        .onParse(a -> accelerators.machine("kvm"))
                        .help("-enable-kvm  the same as -machine accel=kvm"));
        add(
                SimpleOption.text("cpu")
                        .onParse(this::processor)
                        .help("-cpu model[,feature=on|off]  selects the CPU"));
        add(
                SimpleOption.text("m")
                        .onParse(ram::size)
                        .help("-m [size=]megs  the guest's RAM, default 128 MiB"));
        add(
                SimpleOption.text("mem-path")
                        .onParse(a -> settings.memoryPath = a)
                        .help(
                                "-mem-path path  the guest's RAM is this file, or one in this"
                                        + " directory"));
        add(
                SimpleOption.flag("mem-prealloc")
                        .onParse(a -> settings.memoryPreallocated = true)
                        .help("-mem-prealloc  takes the guest's RAM from the host at the start"));
        add(SimpleOption.text("smp").onParse(this::smp).help("-smp [cpus=]n  the number of vCPUs"));
        add(
                SimpleOption.text("bios")
                        .onParse(a -> settings.machineProperties.put("firmware", a))
                        .help("-bios file  firmware"));
        add(property("kernel", "file", "boots this kernel instead of a disk"));
        add(property("initrd", "file", "the kernel's initial RAM disk"));
        add(property("append", "text", "the kernel's command line"));
        add(property("dtb", "file", "a device tree, which a PC has not"));
        add(
                SimpleOption.text("shim")
                        .onApply(
                                StartPhase.MACHINE,
                                a -> {
                                    throw new OptionException("there is no secure boot");
                                })
                        .help("-shim file  a first loader for secure boot, which is not there"));
        add(
                SimpleOption.text("L")
                        .onParse(settings.firmwareDirectories::add)
                        .help("-L path  where firmware is"));
        add(
                SimpleOption.text("boot")
                        .onParse(this::boot)
                        .help("-boot [order=]drives[,menu=on|off]  boot order"));
        add(
                SimpleOption.text("rtc")
                        .onParse(this::wallClock)
                        .help("-rtc base=utc|localtime|date  the guest's wall clock"));
        add(SimpleOption.text("vga").onParse(a -> settings.vga = a).help("-vga std|none"));
        add(SimpleOption.text("uuid").onParse(this::uuid).help("-uuid uuid  the machine's id"));
        add(
                SimpleOption.text("global")
                        .onParse(this::global)
                        .help("-global driver.property=value  a default of devices"));
        add(
                SimpleOption.text("device")
                        .onParse(this::checkDevice)
                        .onApply(StartPhase.DEVICES, this::device)
                        .help("-device driver[,prop[=value][,...]]  adds a device"));
        add(SimpleOption.flag("usb").onParse(a -> settings.machineProperties.put("usb", "on")));
        add(
                SimpleOption.flag("no-hpet")
                        .onParse(a -> settings.machineProperties.put("hpet", "off")));
        add(
                SimpleOption.flag("no-fd-bootchk")
                        .onParse(a -> settings.machineProperties.put("fd-bootchk", "off")));
        add(
                SimpleOption.flag("no-acpi")
                        .onParse(a -> settings.machineProperties.put("acpi", "off")));
        add(SimpleOption.step(StartPhase.SETTINGS, none -> check()));
        add(SimpleOption.step(StartPhase.MACHINE, none -> create()));
    }

    private void add(SimpleOption option) {
        vmm.option(option);
    }

    /** An option that is another way to say a property of the machine. */
    private SimpleOption property(String name, String argument, String what) {
        return SimpleOption.text(name)
                .onParse(a -> settings.machineProperties.put(name, a))
                .help("-" + name + " " + argument + "  " + what);
    }

    /** What belongs to a kernel needs one, and a board that boots it. */
    private void checkKernel() throws OptionException {
        Map<String, String> given = settings.machineProperties;
        if (!given.containsKey("kernel")) {
            for (String part : List.of("append", "initrd")) {
                if (given.containsKey(part)) {
                    throw new OptionException(
                            "-" + part + " only allowed with -kernel option", false);
                }
            }
        } else if (settings.noMachine()) {
            throw new OptionException(
                    "The -kernel parameter is not supported (use the generic 'loader' device"
                            + " instead).",
                    false);
        }
        // For the board a name that is empty is none.
        if ("".equals(given.get("kernel"))) {
            throw new OptionException(
                    "could not open kernel file '': No such file or directory", false);
        }
        if ("".equals(given.get("initrd"))) {
            throw new OptionException("error reading initrd : No such file or directory", false);
        }
    }

    private void boot(String text) throws OptionException {
        group(text, "boot-opts", BootConfiguration::read);
        OptionValues values =
                OptionValues.parse(text, "order")
                        .only(
                                Set.of(
                                        "order",
                                        "once",
                                        "menu",
                                        "splash",
                                        "splash-time",
                                        "reboot-timeout",
                                        "strict"));
        settings.groups.of(MachineGroups.BOOT).putAll(values.values());
    }

    /** Milliseconds that firmware waits; it gets 16 bits of them. */
    private void checkWait(String option, String shown, long least) throws OptionException {
        String text = settings.groups.of(MachineGroups.BOOT).get(option);
        long value = text == null ? least : NumberText.signed(text).value();
        if (value < least || value > 0xffff) {
            throw new OptionException(
                    shown + " is invalid,it should be a value between " + least + " and 65535",
                    false);
        }
    }

    private void machine(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, "type");
        boolean describe = TypeHelp.asked(values);
        for (Map.Entry<String, String> e : values.values().entrySet()) {
            switch (e.getKey()) {
                case "type" -> {
                    if (TypeHelp.askedForTypes(e.getValue())) {
                        throw new EndOfProgram(machineHelp());
                    }
                    settings.machineType = e.getValue();
                }
                case "accel" -> accelerators.machine(e.getValue());
                case "kernel-irqchip" -> accelerators.usually(e.getKey(), e.getValue());
                case "help", "?" -> {}
                default -> {
                    if (!settings.groups.take(e.getKey(), e.getValue())) {
                        settings.machineProperties.put(e.getKey(), e.getValue());
                    }
                }
            }
        }
        if (describe) {
            throw describeMachine();
        }
    }

    private OptionException describeMachine() {
        String name = settings.machineType;
        if ("none".equals(name)) {
            return help("none-machine", MachineProperties.COMMON);
        }
        MachineType<?> found = name == null ? defaultType() : find(name);
        return found == null ? unsupported(name) : help(found.name() + "-machine", found.options());
    }

    private void wallClock(String text) throws OptionException {
        OptionValues values =
                OptionValues.parse(text, null).only(Set.of("base", "clock", "driftfix"));
        oneOf(values.get("clock"), Set.of("host", "rt", "vm"));
        oneOf(values.get("driftfix"), Set.of("slew", "none"));
        String base = values.get("base");
        if (base != null && !base.equals("utc") && !base.equals("localtime")) {
            try {
                LocalDateTime.parse(base.contains("T") ? base : base + "T00:00:00");
            } catch (DateTimeException e) {
                throw new OptionException(
                        "invalid datetime format\n"
                                + "valid formats: '2006-06-17T16:01:21' or '2006-06-17'",
                        false);
            }
        }
        settings.rtc.putAll(values.values());
        if ("slew".equals(values.get("driftfix"))) {
            settings.globals.put("mc146818rtc.lost_tick_policy", "slew");
        }
    }

    private static void oneOf(@Nullable String value, Set<String> known) throws OptionException {
        if (value != null && !known.contains(value)) {
            throw new OptionException("invalid option value '" + value + "'", false);
        }
    }

    private String machineHelp() {
        StringBuilder out = new StringBuilder("Supported machines are:\n");
        for (MachineType<?> type : vmm.machineTypes()) {
            for (String alias : type.aliases()) {
                out.append(
                        "%-20s %s (alias of %s)%n"
                                .formatted(alias, type.description(), type.name()));
            }
            out.append(
                    "%-20s %s%s%n"
                            .formatted(
                                    type.name(),
                                    type.description(),
                                    type.isDefault() ? " (default)" : ""));
        }
        out.append("%-20s %s%n".formatted("none", "empty machine"));
        return out.toString();
    }

    private void processor(String text) throws OptionException {
        if (text.isEmpty()) {
            throw new OptionException("-cpu option cannot be empty", false);
        }
        if (TypeHelp.askedForTypes(text)) {
            StringBuilder out = new StringBuilder("Available CPUs:\n");
            RuntimeCommands.cpuModels().forEach(m -> out.append("  ").append(m).append('\n'));
            throw new EndOfProgram(out.toString());
        }
        settings.cpuModel = text;
    }

    private void smp(String text) throws OptionException {
        group(text, "smp-opts", SMPConfiguration::read);
        OptionValues values =
                OptionValues.parse(text, "cpus")
                        .only(
                                Set.of(
                                        "cpus",
                                        "sockets",
                                        "dies",
                                        "clusters",
                                        "modules",
                                        "cores",
                                        "threads",
                                        "maxcpus",
                                        "drawers",
                                        "books"));
        settings.groups.of(MachineGroups.SMP).putAll(values.values());
    }

    private void uuid(String text) throws OptionException {
        String hex = text.replace("-", "");
        if (hex.length() != 32 || text.length() != 36) {
            throw new OptionException("failed to parse UUID string: wrong format");
        }
        try {
            settings.uuid = HexFormat.of().parseHex(hex);
        } catch (IllegalArgumentException e) {
            throw new OptionException("failed to parse UUID string: wrong format");
        }
    }

    private void global(String text) throws OptionException {
        OptionValues values = OptionValues.parse(text, null);
        String driver = values.get("driver");
        String property = values.get("property");
        String value = values.get("value");
        if (driver == null || property == null || value == null) {
            int equals = text.indexOf('=');
            int dot = text.indexOf('.');
            if (equals < 0 || dot < 0 || dot > equals) {
                throw new OptionException(
                        "Invalid 'global' option format: must be driver.property=value");
            }
            driver = text.substring(0, dot);
            property = text.substring(dot + 1, equals);
            value = text.substring(equals + 1);
        }
        List<String> drivers = vmm.devices().driversOf(driver);
        if (drivers.isEmpty()) {
            if (vmm.devices().exists(driver)) {
                throw new OptionException(
                        "'" + driver + "' takes no defaults: name the type of the devices");
            }
            vmm.warn("global %s.%s has invalid class name".formatted(driver, property));
        }
        settings.drivers.add(driver);
        for (String one : drivers) {
            settings.globals.put(one + "." + property, value);
            vmm.devices().global(one, property, value);
        }
    }

    private void checkDevice(String text) throws OptionException {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram(TypeHelp.devices(vmm.devices().drivers()));
        }
        if (text.startsWith("{")) {
            noteDriver(text);
            return;
        }
        OptionValues values = OptionValues.parse(text, "driver");
        settings.drivers.add(values.get("driver", ""));
        if (TypeHelp.asked(values)) {
            String driver = values.get("driver", "");
            if (!vmm.devices().drivers().contains(driver)) {
                throw new OptionException("'" + driver + "' is not a valid device model name");
            }
            throw new EndOfProgram(TypeHelp.device(driver, vmm.devices().properties(driver)));
        }
        values.warnings().forEach(vmm::warnOption);
        String id = values.id();
        if (id != null && !deviceIds.add(id)) {
            throw new OptionException("Duplicate ID '" + id + "' for device");
        }
    }

    private void noteDriver(String json) throws OptionException {
        try {
            if (JsonStreamParser.parse(json) instanceof JsonObject object
                    && object.get("driver") instanceof JsonString driver) {
                settings.drivers.add(driver.value());
            }
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    private void device(String text) throws OptionException {
        try {
            if (text.startsWith("{")) {
                if (JsonStreamParser.parse(text) instanceof JsonObject object) {
                    vmm.devices().create(object);
                    return;
                }
                throw new OptionException("JSON object expected");
            }
            vmm.devices().create(OptionValues.parse(text, "driver").values());
        } catch (DeviceException | QmpException | GuestMemoryException e) {
            throw new OptionException(String.valueOf(e.getMessage()));
        }
    }

    private @Nullable MachineType<?> find(String name) {
        for (MachineType<?> type : vmm.machineTypes()) {
            if (type.name().equals(name) || type.aliases().contains(name)) {
                return type;
            }
        }
        return null;
    }

    private @Nullable MachineType<?> defaultType() {
        for (MachineType<?> type : vmm.machineTypes()) {
            if (type.isDefault()) {
                return type;
            }
        }
        return vmm.machineTypes().isEmpty() ? null : vmm.machineTypes().getFirst();
    }

    private void check() throws OptionException {
        checkKernel();
        String vga = settings.vga;
        if (vga != null && !VGA_TYPES.contains(vga)) {
            throw new OptionException("unknown vga type: " + vga, false);
        }
        String name = settings.machineType;
        if ("none".equals(name)) {
            options("none", MachineProperties.COMMON);
            checkGroups(new MachineGroups.Board("none", 1, false, "", 0));
            checkProcessor();
            return;
        }
        type = name == null ? defaultType() : find(name);
        if (type == null) {
            throw unsupported(name);
        }
        checkWait("splash-time", "splash-time", 0);
        checkWait("reboot-timeout", "reboot timeout", -1);
        checkGroups(
                new MachineGroups.Board(
                        type.name(), MAX_CPUS, true, "cad", GivenSettings.DEFAULT_RAM));
        if (settings.nographic) {
            settings.machineProperties.putIfAbsent("graphics", "off");
        }
        options(type.name(), type.options());
    }

    private void checkGroups(MachineGroups.Board board) throws OptionException {
        settings.groups.check(board);
        RamSize size = settings.groups.memory();
        ram.check(size);
        settings.ramSize = size.given() ? size.bytes() : 0;
        settings.cpus = settings.groups.topology().cpus();
    }

    private static OptionException unsupported(@Nullable String name) {
        return new OptionException(
                name == null
                        ? "No machine specified, and there is no default\n"
                                + "Use -machine help to list supported machines"
                        : "unsupported machine type: \""
                                + name
                                + "\"\nUse -machine help to list supported machines",
                false);
    }

    /** Without a board nobody else would read the text of {@code -cpu}. */
    private void checkProcessor() throws OptionException {
        String model = settings.cpuModel;
        if (model != null) {
            String name = model.split(",", 2)[0];
            if (!RuntimeCommands.cpuModels().contains(name)) {
                throw new OptionException("unable to find CPU model '" + name + "'", false);
            }
        }
    }

    /** What {@code -machine} has said, as the board reads it. */
    private <O extends Record> O options(String board, RecordType<O> type) throws OptionException {
        JsonObject given = new JsonObject();
        for (Map.Entry<String, String> e : settings.machineProperties.entrySet()) {
            if (!type.has(e.getKey())) {
                throw new OptionException(
                        "Property '" + board + "-machine." + e.getKey() + "' not found", false);
            }
            given.put(e.getKey(), e.getValue());
        }
        try {
            O read = type.complete(type.read(given, KeyvalInputVisitor.Style.KEYVAL));
            for (Map.Entry<String, String> e : settings.machineProperties.entrySet()) {
                MachineProperties.check(e.getKey(), e.getValue());
            }
            return read;
        } catch (QmpException e) {
            throw new OptionException(e.description(), false);
        }
    }

    private void create() throws OptionException {
        if (type != null) {
            accelerators.choose();
            create(type);
            return;
        }
        accelerators.chooseForNothing();
        MachineOptions options = options("none", MachineProperties.COMMON);
        MachineProperties properties =
                machineObject(
                        "none", MachineProperties.of(MachineProperties.COMMON, options, false));
        RuntimeCommands.withoutBoard(vmm);
        boolean some =
                settings.ramSize != 0 || settings.machineProperties.containsKey("memory-backend");
        vmm.publish(EmptyBoard.class, new EmptyBoard(some ? ram.take("ram", options) : null));
        properties.memory(settings.machineProperties.get("memory-backend"), settings.ramSize);
    }

    private MachineProperties machineObject(String board, MachineProperties properties)
            throws OptionException {
        settings.groups.show(properties);
        vmm.publish(MachineProperties.class, properties);
        vmm.objects().add("/machine", board + "-machine", properties.list());
        for (String container : List.of("peripheral", "peripheral-anon", "unattached")) {
            vmm.objects().add("/machine/" + container, "container", List.of());
        }
        return properties;
    }

    private <O extends Record & MachineOptionsMembers> void create(MachineType<O> chosen)
            throws OptionException {
        O given = options(chosen.name(), chosen.options());
        MachineProperties properties =
                machineObject(chosen.name(), MachineProperties.of(chosen.options(), given, true));
        ram.take(chosen.memoryId(), given);
        properties.memory(settings.machineProperties.get("memory-backend"), settings.ramSize);
        MachineConfig config =
                new MachineConfig(
                        settings.machineType == null ? chosen.name() : settings.machineType,
                        settings.ramSize,
                        settings.cpus(),
                        settings.cpuModel,
                        settings.machineProperties.get("firmware"),
                        settings.firmwareDirectories(),
                        settings.serials,
                        settings.parallels,
                        !settings.nographic,
                        settings.vga,
                        !settings.noDefaults,
                        Set.copyOf(settings.drivers),
                        Map.copyOf(settings.groups.of(MachineGroups.BOOT)),
                        Map.copyOf(settings.rtc),
                        settings.uuid,
                        settings.name,
                        Map.copyOf(settings.globals));
        try {
            Machine machine = chosen.create(config, options(chosen.name(), chosen.options()), vmm);
            vmm.machine(machine);
        } catch (DeviceException e) {
            throw new OptionException(String.valueOf(e.getMessage()), false);
        }
    }

    private static EndOfProgram help(String type, RecordType<?> options) {
        StringBuilder out = new StringBuilder(type + " options:\n");
        MachineProperties.describe(options).stream()
                .map(p -> "  %s=<%s>\n".formatted(p.name(), p.type()))
                .sorted()
                .forEach(out::append);
        return new EndOfProgram(out.toString());
    }

    /** Ends the program with the names of a group of options if the text asks for them. */
    private static void group(String text, String name, ValueReader<?> reader) throws EndOfProgram {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram(name + " options:\n" + TypeHelp.members(reader));
        }
    }
}
