package lockstep.runtime.command;

import lockstep.api.AbsentCommands;
import lockstep.api.AcpiCommands;
import lockstep.api.AudioCommands;
import lockstep.api.CharCommands;
import lockstep.api.ControlCommands;
import lockstep.api.InspectCommands;
import lockstep.api.Introspection;
import lockstep.api.MachineCommands;
import lockstep.api.MiscCommands;
import lockstep.api.MiscI386Commands;
import lockstep.api.MonitorCommands;
import lockstep.api.ObjectOptions;
import lockstep.api.QdevCommands;
import lockstep.api.QomCommands;
import lockstep.api.RunStateCommands;
import lockstep.api.StatsCommands;
import lockstep.api.TpmCommands;
import lockstep.api.TraceCommands;
import lockstep.api.YankCommands;
import lockstep.qmp.CommandTable;
import lockstep.qmp.Empty;
import lockstep.qmp.JsonArray;
import lockstep.qmp.QmpCommand;
import lockstep.qmp.QmpException;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.process.VmmProcess;

import java.util.List;

/** Registers the runtime's own commands. */
public final class RuntimeCommands {
    /** The command that tells the interface; its type is what it answers. */
    public static final QmpCommand<Empty, JsonArray> SCHEMA =
            new QmpCommand<>(
                    "query-qmp-schema",
                    Empty::read,
                    Empty::write,
                    (visitor, name) -> (JsonArray) visitor.any(name),
                    (value, visitor, name) -> visitor.any(name, value),
                    true,
                    false,
                    true);

    private RuntimeCommands() {}

    /** Registers all of them. */
    public static void register(VmmProcess vmm) {
        CommandTable table = vmm.commands();
        RunCommands run = new RunCommands(vmm);
        ControlCommands.register(table, run);
        RunStateCommands.register(table, run);
        MachineCommands.register(table, new MachineInfoCommands(vmm));
        ObjectCommands objects = new ObjectCommands(vmm);
        QomCommands.register(table, objects);
        QdevCommands.register(table, objects);
        CharCommands.register(table, new ChardevCommands(vmm));
        MiscCommands.register(table, new ProcessCommands(vmm));
        AbsentHardware absent = new AbsentHardware(vmm);
        AbsentCommands.register(table, absent);
        AcpiCommands.register(table, absent);
        MiscI386Commands.register(table, absent);
        StatsCommands.register(table, absent);
        TpmCommands.register(table, absent);
        TraceYankCommands trace = new TraceYankCommands(vmm.yank());
        TraceCommands.register(table, trace);
        YankCommands.register(table, trace);
        MonitorCommands.register(
                table,
                arguments -> {
                    Long cpu = arguments.cpuIndex();
                    if (cpu != null && (cpu < 0 || cpu >= cpuCount(vmm))) {
                        throw new QmpException("Parameter 'cpu-index' expects a CPU number");
                    }
                    return vmm.monitors()
                            .interpreter()
                            .run(arguments.commandLine())
                            .replace("\n", "\r\n");
                });
        // The answer is data that the build made from the schema; it is printed as it is.
        table.register(SCHEMA, none -> Introspection.schemaInfo());
        AudioCommands.register(table, vmm.settings()::soundBackends);
        HumanCommands.register(vmm, objects);
        InspectCommands.register(table, new HumanTexts(vmm));
        vmm.objectType(
                SecretObject.TYPE,
                ObjectOptions.Secret.class,
                (options, context) -> SecretObject.create(options, context.objects()));
        TlsObjects.register(vmm);
        vmm.objectType(
                RamMemory.TYPE,
                ObjectOptions.MemoryBackendRam.class,
                (options, context) -> RamMemory.create(options));
        vmm.objectType(
                FileMemory.TYPE,
                ObjectOptions.MemoryBackendFile.class,
                (options, context) -> FileMemory.create(options));
        vmm.objectType(
                MemfdMemory.TYPE,
                ObjectOptions.MemoryBackendMemfd.class,
                (options, context) -> MemfdMemory.create(options));
        vmm.objectType(
                IothreadObject.TYPE,
                ObjectOptions.Iothread.class,
                (options, context) -> IothreadObject.create(options, context, vmm.clocks()));
    }

    private static int cpuCount(VmmProcess vmm) {
        var machine = vmm.machine();
        return machine == null ? 0 : machine.vcpus().threads().size();
    }

    /** Adds the topics of the human monitor that a board would bring. With {@code -machine none}. */
    public static void withoutBoard(VmmProcess vmm) {
        InspectionCommands.withoutBoard(vmm);
    }

    /** The names of the processor models, in order. */
    public static List<String> cpuModels() {
        return CpuModel.NAMES.stream().sorted().toList();
    }
}
