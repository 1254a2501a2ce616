import org.jspecify.annotations.NullMarked;

/** Network backends, the wire between a NIC and its backend, and the filters on that wire. */
@NullMarked
module lockstep.net {
    requires static org.jspecify;
    requires transitive lockstep.qmp;
    requires transitive lockstep.runtime;

    exports lockstep.net;
    exports lockstep.net.filter;
    exports lockstep.net.wire;

    provides lockstep.runtime.spi.Room with
            lockstep.net.room.NetRoom;
}
