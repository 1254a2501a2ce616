import org.jspecify.annotations.NullMarked;

/** The PC and its devices. */
@NullMarked
module lockstep.devices {
    requires static org.jspecify;
    requires lockstep.block;
    requires lockstep.net;
    requires lockstep.qmp;
    requires lockstep.runtime;

    exports lockstep.devices.board;
    exports lockstep.devices.ide;
    exports lockstep.devices.pc;
    exports lockstep.devices.pci;
    exports lockstep.devices.vga;

    provides lockstep.runtime.spi.Room with
            lockstep.devices.pc.DevicesRoom;
}
