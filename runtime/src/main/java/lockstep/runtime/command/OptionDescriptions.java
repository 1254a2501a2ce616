package lockstep.runtime.command;

import lockstep.api.AccelOptions;
import lockstep.api.BootConfiguration;
import lockstep.api.ChardevOptions;
import lockstep.api.CommandLineOptionInfo;
import lockstep.api.CommandLineParameterInfo;
import lockstep.api.CommandLineParameterType;
import lockstep.api.DriveOptions;
import lockstep.api.FwCfgOptions;
import lockstep.api.GlobalOptions;
import lockstep.api.MemoryOptions;
import lockstep.api.MonitorOptions;
import lockstep.api.MsgOptions;
import lockstep.api.NameOptions;
import lockstep.api.OvercommitOptions;
import lockstep.api.PcMachineOptions;
import lockstep.api.RtcOptions;
import lockstep.api.RunWithOptions;
import lockstep.api.SMPConfiguration;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.runtime.option.OptionTable;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** What query-command-line-options tells: the schema's structs for options of keys and values. */
final class OptionDescriptions {
    /**
     * One option.
     *
     * @param group the name that QEMU gives the option's group, which is what clients look for
     * @param option the option on the command line
     * @param reader what it takes, or null where that depends on the type that is named
     */
    private record Entry(String group, String option, @Nullable ValueReader<?> reader) {}

    private static final List<Entry> ENTRIES =
            List.of(
                    new Entry("accel", "accel", AccelOptions::read),
                    new Entry("boot-opts", "boot", BootConfiguration::read),
                    new Entry("chardev", "chardev", ChardevOptions::read),
                    new Entry("device", "device", null),
                    new Entry("drive", "drive", DriveOptions::read),
                    new Entry("fw_cfg", "fw_cfg", FwCfgOptions::read),
                    new Entry("global", "global", GlobalOptions::read),
                    new Entry("machine", "machine", PcMachineOptions::read),
                    new Entry("memory", "m", MemoryOptions::read),
                    new Entry("mon", "mon", MonitorOptions::read),
                    new Entry("msg", "msg", MsgOptions::read),
                    new Entry("name", "name", NameOptions::read),
                    new Entry("netdev", "netdev", null),
                    new Entry("object", "object", null),
                    new Entry("overcommit", "overcommit", OvercommitOptions::read),
                    new Entry("rtc", "rtc", RtcOptions::read),
                    new Entry("run-with", "run-with", RunWithOptions::read),
                    new Entry("smp-opts", "smp", SMPConfiguration::read));

    private OptionDescriptions() {}

    /** The options that this program has, or only the group of that name. */
    static List<CommandLineOptionInfo> list(OptionTable options, @Nullable String group)
            throws QmpException {
        List<CommandLineOptionInfo> list = new ArrayList<>();
        for (Entry e : ENTRIES) {
            if ((group == null || group.equals(e.group)) && options.find(e.option) != null) {
                list.add(new CommandLineOptionInfo(e.group, parameters(e.reader)));
            }
        }
        if (group != null && list.isEmpty()) {
            throw new QmpException("invalid option name: " + group);
        }
        return list;
    }

    private static List<CommandLineParameterInfo> parameters(@Nullable ValueReader<?> reader) {
        if (reader == null) {
            return List.of();
        }
        return MemberOutline.of(reader).stream()
                .map(m -> new CommandLineParameterInfo(m.name(), type(m.type()), null, null))
                .toList();
    }

    private static CommandLineParameterType type(String type) {
        return switch (type) {
            case "bool" -> CommandLineParameterType.BOOLEAN;
            case "size" -> CommandLineParameterType.SIZE;
            case "int", "int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64", "number" ->
                    CommandLineParameterType.NUMBER;
            default -> CommandLineParameterType.STRING;
        };
    }
}
