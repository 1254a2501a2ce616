import org.jspecify.annotations.NullMarked;

/**
 * Block nodes, drivers and exports. Devices and COLO use {@code lockstep.block}; the drivers'
 * packages are exported for tools that work on images without a machine.
 */
@NullMarked
module lockstep.block {
    requires transitive lockstep.qmp;
    requires transitive lockstep.runtime;
    requires com.github.luben.zstd_jni;
    requires static org.jspecify;

    exports lockstep.block;
    exports lockstep.block.drive;
    exports lockstep.block.export;
    exports lockstep.block.file;
    exports lockstep.block.luks;
    exports lockstep.block.monitor;
    exports lockstep.block.nbd;
    exports lockstep.block.node;
    exports lockstep.block.nullco;
    exports lockstep.block.open;
    exports lockstep.block.qcow2;
    exports lockstep.block.quorum;
    exports lockstep.block.raw;
    exports lockstep.block.replication;
    exports lockstep.block.throttle;

    provides lockstep.runtime.spi.Room with
            lockstep.block.monitor.BlockRoom;
}
