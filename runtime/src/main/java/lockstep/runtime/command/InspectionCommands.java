package lockstep.runtime.command;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.ChardevText;
import lockstep.runtime.machine.EmptyBoard;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpCommand;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.trace.Trace;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Commands of the human monitor that look at the machine: numbers, memory and ports, and the {@code info}
 * topics that say in words what a QMP query answers.
 */
final class InspectionCommands {
    private static final int PORTS = 0xffff;

    private final VmmProcess vmm;

    InspectionCommands(VmmProcess vmm) {
        this.vmm = vmm;
    }

    void register(HmpTable t) {
        t.add(
                "print|p",
                "fmt:/,val:l",
                "/fmt expr",
                "work out an expression",
                (a, out) ->
                        out.append(shown(a.string("format"), a.integer("val", 0))).append('\n'));
        new MemoryCommands(vmm).register(t);
        new InterruptTopics(vmm).register(t);
        AbsentTopics.register(t);
        t.add("i", "fmt:/,addr:i,index:i.", "/fmt addr", "read an I/O port", this::readPort);
        t.add("o", "fmt:/,addr:i,val:i", "/fmt addr value", "write an I/O port", this::writePort);
        t.add("log", "items:s", "item1[,...]", "log these items", this::log);
        t.add(
                "logfile",
                "filename:F",
                "filename",
                "write log and trace lines to a file",
                this::logFile);
        forwarded(t);
        topics(t);
    }

    // ---- numbers, memory, ports

    private static String shown(String format, long value) {
        return switch (format) {
            case "o" -> value == 0 ? "0" : "0" + Long.toOctalString(value);
            case "x" -> value == 0 ? "0" : "0x" + Long.toHexString(value);
            case "u" -> Long.toUnsignedString(value);
            case "c" -> MemoryCommands.character((int) value);
            default -> Long.toString(value);
        };
    }

    /** Bytes of a port access; a format of another size means a byte. */
    private static int portSize(HmpArguments a) {
        long size = a.integer("size", 1);
        return size == 2 || size == 4 ? (int) size : 1;
    }

    private void readPort(HmpArguments a, StringBuilder out) {
        int size = portSize(a);
        long port = a.integer("addr", 0) & PORTS;
        Machine machine = vmm.machine();
        if (a.has("index")) {
            if (machine != null) {
                machine.ports().write(port, 1, a.integer("index", 0) & 0xff);
            }
            port++;
        }
        long value = machine == null ? -1 : machine.ports().read(port & PORTS, size);
        char suffix = size == 1 ? 'b' : size == 2 ? 'w' : 'l';
        out.append("port%c[0x%04x] = 0x".formatted(suffix, port & PORTS))
                .append(
                        ("%0" + a.integer("size", 1) * 2 + "x")
                                .formatted(value & (1L << size * 8) - 1))
                .append('\n');
    }

    private void writePort(HmpArguments a, StringBuilder out) {
        Machine machine = vmm.machine();
        if (machine != null) {
            AddressSpace ports = machine.ports();
            ports.write(a.integer("addr", 0) & PORTS, portSize(a), a.integer("val", 0));
        }
    }

    // ---- the log

    private void log(HmpArguments a, StringBuilder out) {
        for (String item : a.string("items").split(",")) {
            boolean event = item.startsWith("trace:");
            if (event) {
                Trace.enable(item.substring("trace:".length()), true);
            } else if (!item.equals("none") && !LogItems.known(item)) {
                out.append(LogItems.help());
                return;
            }
        }
    }

    private void logFile(HmpArguments a, StringBuilder out) {
        String name = a.string("filename");
        try {
            Trace.openFile(Path.of(name));
        } catch (NoSuchFileException e) {
            out.append("Error opening logfile ")
                    .append(name)
                    .append(": No such file or directory\n");
        } catch (IOException e) {
            out.append("Error opening logfile ")
                    .append(name)
                    .append(": ")
                    .append(e.getMessage())
                    .append('\n');
        }
    }

    // ---- commands that QMP has as well

    private JsonValue query(String command, JsonObject arguments) throws QmpException {
        JsonObject request = new JsonObject().put("execute", new JsonString(command));
        JsonObject reply = vmm.commands().dispatch(request.put("arguments", arguments), false);
        if (reply == null) {
            return new JsonObject();
        }
        if (reply.get("error") instanceof JsonObject error) {
            throw new QmpException(text(error, "desc"));
        }
        JsonValue result = reply.get("return");
        return result == null ? new JsonObject() : result;
    }

    private List<JsonObject> list(String command) throws QmpException {
        List<JsonObject> found = new ArrayList<>();
        if (vmm.commands().find(command) == null) {
            return found; // A room that is not there has nothing to list.
        }
        if (query(command, new JsonObject()) instanceof JsonArray all) {
            all.forEach(
                    v -> {
                        if (v instanceof JsonObject o) {
                            found.add(o);
                        }
                    });
        }
        return found;
    }

    private static String text(JsonObject object, String member) {
        JsonValue value = object.get(member);
        if (value instanceof JsonString s) {
            return s.value();
        }
        return value == null ? "" : JsonPrinter.compact(value);
    }

    private static boolean flag(JsonObject object, String member) {
        return object.get(member) instanceof JsonBoolean b && b.value();
    }

    /** A command whose arguments are those of the QMP command, and which prints nothing. */
    private HmpCommand.Handler same(String command, String... members) {
        return (a, out) -> {
            JsonObject arguments = new JsonObject();
            for (String member : members) {
                String name = member.substring(member.indexOf(':') + 1);
                switch (member.charAt(0)) {
                    case 'i' -> arguments.put(name, JsonNumber.of(a.integer(name, 0)));
                    case 'b' -> {
                        if (a.flag(name)) {
                            arguments.put(name, new JsonBoolean(true));
                        }
                    }
                    default -> arguments.put(name, new JsonString(a.string(name)));
                }
            }
            query(command, arguments);
        };
    }

    private void forwarded(HmpTable t) {
        t.add("system_wakeup", "", "", "wake the guest up", same("system_wakeup"));
        t.add(
                "balloon",
                "value:M",
                "target",
                "give the guest another size",
                same("balloon", "i:value"));
        t.add(
                "getfd",
                "fdname:s",
                "name",
                "keep a descriptor that came over the monitor's socket",
                same("getfd", "s:fdname"));
        t.add(
                "closefd",
                "fdname:s",
                "name",
                "close a kept descriptor",
                same("closefd", "s:fdname"));
        t.add(
                "ringbuf_write",
                "device:s,data:s",
                "device data",
                "write to a ring buffer",
                same("ringbuf-write", "s:device", "s:data"));
        t.add(
                "ringbuf_read",
                "device:s,size:i",
                "device size",
                "take bytes out of a ring buffer",
                this::readRing);
        t.add(
                "chardev-change",
                "id:s,args:s",
                "id args",
                "put another device in place of a character device",
                (a, out) -> {
                    ChardevText.Parsed parsed = ChardevText.option(a.string("args"), w -> {});
                    vmm.chardevs().change(a.string("id"), parsed.config(), vmm::notice);
                });
        t.add(
                "qom-get",
                "path:s,property:s",
                "path property",
                "print a property of an object",
                (a, out) -> {
                    JsonObject arguments =
                            new JsonObject()
                                    .put("path", new JsonString(a.string("path")))
                                    .put("property", new JsonString(a.string("property")));
                    JsonValue value = query("qom-get", arguments);
                    out.append(JsonPrinter.pretty(value)).append('\n');
                });
        t.add(
                "qom-set",
                "json:-j,path:s,property:s,value:S",
                "[-j] path property value",
                "set a property of an object; with -j the value is JSON",
                (a, out) -> {
                    String path = a.string("path");
                    String property = a.string("property");
                    String text = a.string("value");
                    JsonObject arguments =
                            new JsonObject()
                                    .put("path", new JsonString(path))
                                    .put("property", new JsonString(property));
                    arguments.put(
                            "value",
                            a.flag("json")
                                    ? JsonStreamParser.parse(text)
                                    : value(path, property, text));
                    query("qom-set", arguments);
                });
    }

    /** The value that a text stands for, by the type of the property. */
    private JsonValue value(String path, String property, String text) throws QmpException {
        ObjectTree.Node node = vmm.objects().find(path);
        QomProperty found = node == null ? null : node.property(property);
        String type = found == null ? "" : found.type();
        JsonObject only = new JsonObject().put(property, text);
        KeyvalInputVisitor visitor =
                new KeyvalInputVisitor(only, KeyvalInputVisitor.Style.PROPERTY);
        visitor.startStruct(null);
        return switch (type) {
            case "bool" -> new JsonBoolean(visitor.bool(property));
            case "int", "int8", "int16", "int32", "int64" -> JsonNumber.of(visitor.int64(property));
            case "uint8", "uint16", "uint32", "uint64" -> JsonNumber.of(visitor.uint64(property));
            case "size" -> JsonNumber.of(visitor.size(property));
            default -> new JsonString(text);
        };
    }

    private void readRing(HmpArguments a, StringBuilder out) throws QmpException {
        JsonObject arguments =
                new JsonObject()
                        .put("device", new JsonString(a.string("device")))
                        .put("size", JsonNumber.of(a.integer("size", 0)));
        String data = query("ringbuf-read", arguments) instanceof JsonString s ? s.value() : "";
        for (char c : data.toCharArray()) {
            if (c == '\\') {
                out.append("\\\\");
            } else if (c < 0x20 && c != '\n' && c != '\t' || c == 0x7f) {
                out.append("\\u%04X".formatted((int) c));
            } else {
                out.append(c);
            }
        }
        out.append('\n');
    }

    // ---- topics

    /** A topic about a part that is not there: always the same text. */
    private static void fixed(HmpTable t, String topic, String help, String text) {
        t.addInfo(topic, "", "", help, (a, out) -> out.append(text).append('\n'));
    }

    private void topics(HmpTable t) {
        t.addInfo(
                "balloon",
                "",
                "",
                "the guest's size",
                (a, out) -> {
                    if (query("query-balloon", new JsonObject()) instanceof JsonObject o
                            && o.get("actual") instanceof JsonNumber actual) {
                        out.append(
                                "balloon: actual=%d\n".formatted(actual.signed().orElse(0) >> 20));
                    }
                });
        t.addInfo("tpm", "", "", "TPM devices (this build has none)", (a, out) -> {});
        t.addInfo("accel", "", "", "what the accelerator counts: nothing", (a, out) -> {});
        t.addInfo("memory-devices", "", "", "memory plugged in: none", (a, out) -> {});
        fixed(t, "dump", "how far a dump of memory is", "Status: none");
        fixed(t, "replay", "record and replay", "Record/replay is not active");
        fixed(t, "sev", "encrypted memory", "SEV is not enabled");
        fixed(t, "vcpu_dirty_limit", "limits on writing", "Dirty page limit not enabled!");
        fixed(
                t,
                "dirty_rate",
                "how fast the guest writes to memory",
                "Status: unstarted\nStart Time: 0 (ms)\nSample Pages: 0 (per GB)\nPeriod: 0 (sec)\n"
                        + "Mode: page-sampling\nDirty rate: (not ready)");
        t.addInfo("sgx", "", "", "Intel SGX", (a, out) -> query("query-sgx", new JsonObject()));
        t.addInfo(
                "jit",
                "",
                "",
                "translated code of QEMU's software processor",
                (a, out) -> query("x-query-jit", new JsonObject()));
        t.addInfo("memdev", "", "", "memory backends", this::memoryBackends);
        t.addInfo("mice", "", "", "pointing devices", this::mice);
        t.addInfo("history", "", "", "lines entered before", (a, out) -> {});
        t.addInfo("numa", "", "", "NUMA nodes", (a, out) -> out.append("0 nodes\n"));
        t.addInfo(
                "memory_size_summary",
                "",
                "",
                "bytes of guest memory",
                (a, out) -> {
                    Machine machine = vmm.machine();
                    long size = machine == null ? vmm.settings().ramSize() : machine.ramSize();
                    out.append("base memory: ").append(size).append("\nplugged memory: 0\n");
                });
        t.addInfo(
                "hotpluggable-cpus",
                "",
                "",
                "processors that can be plugged in",
                (a, out) -> {
                    List<JsonObject> cpus = list("query-hotpluggable-cpus");
                    out.append("Hotpluggable CPUs:\n");
                    for (JsonObject cpu : cpus) {
                        out.append("  type: \"").append(text(cpu, "type")).append("\"\n");
                        out.append("  vcpus_count: \"")
                                .append(text(cpu, "vcpus-count"))
                                .append("\"\n");
                    }
                });
        t.addInfo(
                "vm-generation-id",
                "",
                "",
                "the VM generation id",
                (a, out) -> {
                    if (query("query-vm-generation-id", new JsonObject()) instanceof JsonObject o) {
                        out.append(text(o, "guid")).append('\n');
                    }
                });
    }

    /** The topics that a board brings, for a process without one. */
    static void withoutBoard(VmmProcess vmm) {
        HmpTable t = vmm.hmp();
        if (t.findInfo("pci") == null) {
            t.addInfo("pci", "", "", "nothing without a board", (a, out) -> {});
        }
        if (t.findInfo("mtree") == null) {
            t.addInfo(
                    "mtree",
                    "",
                    "",
                    "address spaces",
                    (a, out) ->
                            out.append("address-space: memory\n  ")
                                    .append("0000000000000000-ffffffffffffffff")
                                    .append(" (prio 0, i/o): system\n")
                                    .append(vmm.service(EmptyBoard.class).describe())
                                    .append("\naddress-space: I/O\n  ")
                                    .append("0000000000000000-000000000000ffff")
                                    .append(" (prio 0, i/o): io\n\n"));
        }
    }

    private void memoryBackends(HmpArguments a, StringBuilder out) throws QmpException {
        for (JsonObject m : list("query-memdev")) {
            out.append("memory backend: ").append(text(m, "id")).append('\n');
            for (String member : List.of("size", "merge", "dump", "prealloc", "share", "reserve")) {
                if (m.has(member)) {
                    out.append("  ")
                            .append(member)
                            .append(": ")
                            .append(member.equals("size") ? " " : "")
                            .append(text(m, member))
                            .append('\n');
                }
            }
            out.append("  policy: ").append(text(m, "policy")).append("\n  host nodes: \n");
        }
        out.append('\n');
    }

    private void mice(HmpArguments a, StringBuilder out) throws QmpException {
        List<JsonObject> mice = list("query-mice");
        for (JsonObject m : mice) {
            out.append(flag(m, "current") ? '*' : ' ')
                    .append(" Mouse #")
                    .append(text(m, "index"))
                    .append(": ")
                    .append(text(m, "name"))
                    .append(flag(m, "absolute") ? " (absolute)" : "")
                    .append('\n');
        }
        if (mice.isEmpty()) {
            out.append("No mouse devices connected\n");
        }
    }
}
