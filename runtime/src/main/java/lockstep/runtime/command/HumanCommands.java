package lockstep.runtime.command;

import lockstep.api.DeviceListPropertiesArguments;
import lockstep.api.ObjectOptions;
import lockstep.api.RunState;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevText;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.monitor.Version;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.TypeHelp;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;

import java.util.List;

/** The runtime's own commands of the human monitor. */
final class HumanCommands {
    private final VmmProcess vmm;
    private final ObjectCommands objects;

    private HumanCommands(VmmProcess vmm, ObjectCommands objects) {
        this.vmm = vmm;
        this.objects = objects;
    }

    static void register(VmmProcess vmm, ObjectCommands objects) {
        HumanCommands h = new HumanCommands(vmm, objects);
        HmpTable t = vmm.hmp();
        h.control(t);
        h.devices(t);
        h.infos(t);
        new InspectionCommands(vmm).register(t);
    }

    private void control(HmpTable t) {
        RunCommands run = new RunCommands(vmm);
        t.add(
                "help|?",
                "name:S?",
                "[cmd]",
                "show the help",
                (a, out) -> {
                    String name = a.optional("name");
                    out.append(vmm.monitors().interpreter().helpText(name));
                });
        t.add(
                "info",
                "item:s?",
                "[subcommand]",
                "tell about one part of the machine",
                (a, out) -> out.append(vmm.monitors().interpreter().helpText("info")));
        t.add("quit|q", "", "", "end the process", (a, out) -> run.quit());
        t.add("stop|s", "", "", "stop emulation", (a, out) -> run.stop());
        t.add("cont|c", "", "", "let the guest run", (a, out) -> run.cont());
        t.add("system_reset", "", "", "press the reset button", (a, out) -> run.systemReset());
        t.add(
                "nmi",
                "",
                "",
                "inject an NMI",
                (a, out) -> {
                    Machine machine = vmm.machine();
                    if (machine == null) {
                        throw new QmpException(
                                "this feature or command is not currently supported");
                    }
                    machine.vcpus().injectNmi();
                });
        t.add(
                "exit_preconfig",
                "",
                "",
                "make the machine that --preconfig put off",
                (a, out) -> ProcessCommands.exitPreconfig(vmm));
        t.add(
                "system_powerdown",
                "",
                "",
                "press the power button",
                (a, out) -> run.systemPowerdown());
        t.add(
                "trace-event",
                "name:s,option:b",
                "name on|off",
                "switch trace events on or off",
                (a, out) -> {
                    String name = a.string("name");
                    if (!Trace.enable(name, a.flag("option"))) {
                        out.append("unknown event \"").append(name).append("\"\n");
                    }
                });
    }

    private void devices(HmpTable t) {
        t.add(
                "chardev-add",
                "args:s",
                "args",
                "add chardev",
                (a, out) -> {
                    ChardevText.Parsed parsed = ChardevText.option(a.string("args"), w -> {});
                    String id = parsed.id();
                    if (id == null) {
                        throw new OptionException("chardev: no id specified");
                    }
                    if (vmm.chardevs().find(id) != null) {
                        throw new ChardevException(
                                "attempt to add duplicate property '"
                                        + id
                                        + "' to object (type 'container')");
                    }
                    vmm.chardevs().create(id, parsed.config(), parsed.mux(), vmm::notice);
                });
        t.add(
                "chardev-remove",
                "id:s",
                "id",
                "remove chardev",
                (a, out) -> vmm.chardevs().remove(a.string("id")));
        t.add(
                "chardev-send-break",
                "id:s",
                "id",
                "signal a break on a character device",
                (a, out) -> {
                    Chardev device = vmm.chardevs().find(a.string("id"));
                    if (device == null) {
                        throw new ChardevException("Chardev '" + a.string("id") + "' not found");
                    }
                    device.sendBreak();
                });
        t.add(
                "object_add",
                "object:S",
                "[qom-type=]type,id=str[,prop=value][,...]",
                "make an object",
                (a, out) -> {
                    String text = a.string("object");
                    OptionValues values = OptionValues.parse(text, "qom-type");
                    boolean typeIsGiven =
                            vmm.objects().types().contains(values.get("qom-type", ""));
                    if (TypeHelp.askedForTypes(text) || TypeHelp.asked(values) && !typeIsGiven) {
                        out.append(TypeHelp.objects(vmm.objects().types()));
                        return;
                    }
                    if (TypeHelp.asked(values)) {
                        out.append(TypeHelp.object(values.get("qom-type", "")));
                        return;
                    }
                    var visitor =
                            new KeyvalInputVisitor(
                                    OptionText.parse(text, "qom-type").toTree(),
                                    KeyvalInputVisitor.Style.KEYVAL);
                    vmm.objects().create(ObjectOptions.read(visitor, null));
                });
        t.add(
                "object_del",
                "id:s",
                "id",
                "delete an object",
                (a, out) -> vmm.objects().delete(a.string("id")));
        t.add(
                "device_add",
                "device:O",
                "driver[,prop=value][,...]",
                "plug a device in",
                (a, out) -> {
                    String text = a.string("device");
                    if (TypeHelp.askedForTypes(text)) {
                        out.append(TypeHelp.devices(vmm.devices().drivers()));
                        return;
                    }
                    OptionValues values = OptionValues.parse(text, "driver");
                    if (TypeHelp.asked(values)) {
                        String driver = values.get("driver", "");
                        try {
                            out.append(
                                    TypeHelp.device(
                                            driver,
                                            objects.deviceListProperties(
                                                    new DeviceListPropertiesArguments(driver))));
                        } catch (QmpException e) {
                            out.append(e.description()).append('\n'); // told, but no failure
                        }
                        return;
                    }
                    vmm.devices().plug(OptionText.parse(text, "driver").toMap());
                });
        t.add(
                "device_del",
                "id:s",
                "device",
                "remove device",
                (a, out) -> vmm.devices().remove(a.string("id")));
        t.add(
                "qom-list",
                "path:s?",
                "path",
                "list what an object has",
                (a, out) -> {
                    String path = a.optional("path");
                    if (path == null) {
                        out.append("/\n");
                        return;
                    }
                    ObjectTree.Node node = vmm.objects().find(path);
                    if (node == null) {
                        throw new QmpException("Device '" + path + "' not found");
                    }
                    out.append("type (string)\n");
                    for (QomProperty p : node.properties()) {
                        out.append(p.name()).append(" (").append(p.type()).append(")\n");
                    }
                    for (ObjectTree.Node child : node.children()) {
                        out.append(child.name())
                                .append(" (child<")
                                .append(child.type())
                                .append(">)\n");
                    }
                });
    }

    private void infos(HmpTable t) {
        t.addInfo(
                "version",
                "",
                "",
                "the version that this program is compatible with",
                (a, out) -> out.append(Version.text()).append(Version.PACKAGE).append('\n'));
        t.addInfo("status", "", "", "whether the guest runs", (a, out) -> status(out));
        t.addInfo(
                "name",
                "",
                "",
                "the name given with -name",
                (a, out) -> {
                    String name = vmm.name();
                    if (name != null) {
                        out.append(name).append('\n');
                    }
                });
        t.addInfo(
                "uuid",
                "",
                "",
                "the UUID given with -uuid",
                (a, out) -> {
                    byte[] uuid = vmm.settings().uuid();
                    out.append(MachineInfoCommands.text(uuid == null ? new byte[16] : uuid))
                            .append('\n');
                });
        t.addInfo(
                "kvm",
                "",
                "",
                "whether KVM is used",
                (a, out) ->
                        out.append("kvm support: ")
                                .append(
                                        MachineInfoCommands.kvmEnabled(vmm)
                                                ? "enabled\n"
                                                : "disabled\n"));
        t.addInfo("cpus", "", "", "the processors and their threads", (a, out) -> cpus(out));
        t.addInfo(
                "chardev",
                "",
                "",
                "character devices and their peers",
                (a, out) -> {
                    for (Chardev c : vmm.chardevs().all()) {
                        out.append(c.id()).append(": filename=").append(c.filename()).append('\n');
                    }
                });
        t.addInfo(
                "iothreads",
                "",
                "",
                "show iothreads",
                (a, out) -> {
                    for (String id : vmm.objects().ids(IothreadObject.class)) {
                        IothreadObject o = vmm.objects().object(id, IothreadObject.class);
                        if (o != null) {
                            o.describe(id, out);
                        }
                    }
                });
        t.addInfo(
                "trace-events",
                "name:s?",
                "[name]",
                "trace events and whether they are on",
                (a, out) -> {
                    String pattern = a.optional("name");
                    for (TraceEvent e : Trace.match(pattern == null ? "*" : pattern)) {
                        out.append(e.name())
                                .append(" : state ")
                                .append(e.on() ? 1 : 0)
                                .append('\n');
                    }
                });
        t.addInfo(
                "qtree",
                "brief:-b",
                "[-b]",
                "devices and their properties (-b: no properties)",
                (a, out) ->
                        new DeviceTree(vmm.objects(), vmm.devices(), a.flag("brief"), out).print());
        t.addInfo(
                "qom-tree",
                "path:s?",
                "[path]",
                "the tree of objects",
                (a, out) -> {
                    String path = a.optional("path");
                    ObjectTree.Node node = vmm.objects().find(path == null ? "/machine" : path);
                    if (node == null) {
                        out.append("Path '").append(path).append("' could not be resolved.\n");
                        return;
                    }
                    composition(node, 0, out);
                });
    }

    private void status(StringBuilder out) {
        RunState state = vmm.run().state();
        out.append("VM status: ").append(vmm.run().running() ? "running" : "paused");
        if (!vmm.run().running() && state != RunState.PAUSED) {
            out.append(" (").append(state.wireName()).append(')');
        }
        out.append('\n');
    }

    private void cpus(StringBuilder out) {
        Machine machine = vmm.machine();
        if (machine == null) {
            return;
        }
        List<Integer> threads = machine.vcpus().threads();
        for (int i = 0; i < threads.size(); i++) {
            out.append(i == 0 ? '*' : ' ')
                    .append(" CPU #")
                    .append(i)
                    .append(": thread_id=")
                    .append(threads.get(i))
                    .append('\n');
        }
    }

    private static void composition(ObjectTree.Node node, int depth, StringBuilder out) {
        out.append(" ".repeat(depth))
                .append('/')
                .append(depth == 0 ? node.path().substring(1) : node.name())
                .append(" (")
                .append(node.type())
                .append(")\n");
        for (ObjectTree.Node child : node.children()) {
            composition(child, depth + 2, out);
        }
    }
}
