package lockstep.block.monitor;

import lockstep.runtime.monitor.HmpTable;

/** The human monitor's commands for snapshots of the machine. Main loop, machine lock held. */
record SnapshotHmp(MachineSnapshots snapshots) {
    void register(HmpTable table) {
        table.add(
                "savevm",
                "name:s?",
                "tag",
                "keep the machine inside its disks' images; one of that name is replaced",
                (arguments, output) ->
                        snapshots.save(arguments.optional("name"), true, null, null));
        table.add(
                "loadvm",
                "name:s",
                "tag",
                "make the machine what was kept under a name",
                (arguments, output) -> snapshots.load(arguments.string("name"), null, null));
        table.add(
                "delvm",
                "name:s",
                "tag",
                "forget what was kept under a name",
                (arguments, output) -> snapshots.delete(arguments.string("name"), null));
        table.addInfo(
                "snapshots",
                "",
                "",
                "snapshots of the machine inside its disks' images",
                (arguments, output) -> snapshots.describe(output));
    }
}
