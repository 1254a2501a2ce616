import org.jspecify.annotations.NullMarked;

/** The PC and its devices. */
@NullMarked
module lockstep.devices {
    requires static org.jspecify;
    requires lockstep.block;
    requires lockstep.net;
    requires lockstep.runtime;

    exports lockstep.devices.pci;
    exports lockstep.devices.vga;
}
