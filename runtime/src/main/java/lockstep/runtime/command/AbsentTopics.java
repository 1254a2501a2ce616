package lockstep.runtime.command;

import lockstep.api.WatchdogAction;
import lockstep.qmp.QmpException;
import lockstep.runtime.monitor.HmpTable;

import java.util.List;

/**
 * Commands of the human monitor about parts that no machine here has, in QEMU's words for one that has none. What cannot
 * be done is told as an error.
 */
final class AbsentTopics {
    private static final List<String> STATISTICS = List.of("vm", "vcpu", "cryptodev");

    private AbsentTopics() {}

    static void register(HmpTable t) {
        t.add(
                "screendump",
                "filename:F,device:s?,head:i?",
                "filename [device [head]]",
                "picture of a display (this build draws none)",
                (a, out) -> {
                    throw new QmpException("There is no console to take a screendump from");
                });
        t.add(
                "gdbserver",
                "device:s?",
                "[device]",
                "server for a debugger (this build has none)",
                (a, out) -> {
                    String device = a.has("device") ? a.string("device") : "tcp::1234";
                    out.append(
                            device.equals("none")
                                    ? "Disabled gdbserver\n"
                                    : "There is no server for a debugger in this program\n"
                                            + "Could not open gdbserver on device '"
                                            + device
                                            + "'\n");
                });
        t.add(
                "watchdog_action",
                "action:s",
                "action",
                "what a watchdog does (this build has none)",
                (a, out) -> {
                    String action = a.string("action");
                    if (WatchdogAction.find(action) == null) {
                        throw new QmpException("invalid parameter value: " + action);
                    }
                });
        t.addInfo(
                "stats",
                "target:s,names:s?,provider:s?",
                "target [names] [provider]",
                "statistics of the kernel's: none",
                (a, out) -> {
                    String target = a.string("target");
                    if (!STATISTICS.contains(target)) {
                        out.append("invalid stats target ").append(target).append('\n');
                    }
                });
        t.addInfo("capture", "", "", "sound that is recorded: none", (a, out) -> {});
        t.addInfo("vnc", "all:-v", "[-v]", "VNC server: none", (a, out) -> out.append("None\n"));
        t.addInfo(
                "virtio",
                "",
                "",
                "virtio devices: none",
                (a, out) -> out.append("No VirtIO devices\n"));
    }
}
