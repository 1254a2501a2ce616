import org.jspecify.annotations.NullMarked;

/** The virtual machine's engine room: everything of a VMM that is not a device, a disk or a net. */
@NullMarked
@SuppressWarnings("module") // exports to a module that is built later
module lockstep.runtime {
    requires lockstep.qmp;
    requires lockstep.x86;
    requires jdk.net;
    requires static org.jspecify;

    exports lockstep.runtime.accelerator;
    exports lockstep.runtime.chardev;
    exports lockstep.runtime.chip;
    exports lockstep.runtime.cpu;
    exports lockstep.runtime.linux;
    exports lockstep.runtime.loop;
    exports lockstep.runtime.machine;
    exports lockstep.runtime.memory;
    exports lockstep.runtime.migration;
    exports lockstep.runtime.monitor;
    exports lockstep.runtime.object;
    exports lockstep.runtime.option;
    exports lockstep.runtime.spi;
    exports lockstep.runtime.tls;
    exports lockstep.runtime.trace;
    exports lockstep.runtime.vmstate;

    // Not for the rooms: the tests of devices run a machine without a process around it, and the
    // programs for disks are
    // processes without a machine.
    exports lockstep.runtime.process to
            lockstep.devices,
            lockstep.tools;
    exports lockstep.runtime.command to
            lockstep.tools;
    exports lockstep.runtime.commandline to
            lockstep.tools;

    uses lockstep.runtime.spi.Room;

    provides lockstep.runtime.spi.Room with
            lockstep.runtime.jvm.JvmRoom,
            lockstep.runtime.kvm.KvmRoom,
            lockstep.runtime.qtest.QtestRoom,
            lockstep.runtime.migration.MigrationRoom;
}
