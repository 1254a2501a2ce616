package lockstep.block.monitor;

import lockstep.api.BlockCommands;
import lockstep.api.BlockIOThrottle;
import lockstep.api.BlockLatencyHistogramSetArguments;
import lockstep.api.BlockdevChangeMediumArguments;
import lockstep.api.BlockdevCloseTrayArguments;
import lockstep.api.BlockdevInsertMediumArguments;
import lockstep.api.BlockdevOpenTrayArguments;
import lockstep.api.BlockdevRemoveMediumArguments;
import lockstep.api.EjectArguments;
import lockstep.api.ThrottleLimits;
import lockstep.block.BackendStats;
import lockstep.block.LatencyHistogram;
import lockstep.block.drive.BlockManager;
import lockstep.block.drive.MediaChanger;
import lockstep.block.node.BlockException;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The QMP commands about the disks of devices: trays, media, limits, times. Main loop, machine lock held. */
record MediaQmp(BlockManager manager, MediaChanger changer) implements BlockCommands {
    private interface Action {
        void run() throws BlockException;
    }

    private static void qmp(Action action) throws QmpException {
        try {
            action.run();
        } catch (BlockException e) {
            throw new QmpException(
                    e.errno() == Errno.ENODEV
                            ? ErrorClass.DEVICE_NOT_FOUND
                            : ErrorClass.GENERIC_ERROR,
                    String.valueOf(e.getMessage()),
                    e);
        }
    }

    @Override
    public void blockLatencyHistogramSet(BlockLatencyHistogramSetArguments a) throws QmpException {
        qmp(
                () -> {
                    BackendStats stats = changer.backend(null, a.id()).stats();
                    List<Long> usual = a.boundaries();
                    boolean none =
                            usual == null
                                    && a.boundariesRead() == null
                                    && a.boundariesWrite() == null
                                    && a.boundariesZap() == null
                                    && a.boundariesFlush() == null;
                    histogram(a.id(), "read", stats.read(), a.boundariesRead(), usual, none);
                    histogram(a.id(), "write", stats.write(), a.boundariesWrite(), usual, none);
                    histogram(
                            a.id(),
                            "append write",
                            stats.zoneAppend(),
                            a.boundariesZap(),
                            usual,
                            none);
                    histogram(a.id(), "flush", stats.flush(), a.boundariesFlush(), usual, none);
                });
    }

    private static void histogram(
            String device,
            String kind,
            BackendStats.Counter counter,
            @Nullable List<Long> own,
            @Nullable List<Long> usual,
            boolean none)
            throws BlockException {
        List<Long> boundaries = own == null ? usual : own;
        if (none) {
            counter.histogram(null);
        } else if (boundaries != null) {
            LatencyHistogram wanted = LatencyHistogram.of(boundaries);
            if (wanted == null) {
                throw new BlockException(
                        Errno.EINVAL, "Device '" + device + "' set " + kind + " boundaries fail");
            }
            counter.histogram(wanted);
        }
    }

    @Override
    public void eject(EjectArguments a) throws QmpException {
        qmp(() -> changer.eject(a.device(), a.id(), Boolean.TRUE.equals(a.force())));
    }

    @Override
    public void blockdevOpenTray(BlockdevOpenTrayArguments a) throws QmpException {
        qmp(() -> changer.openTray(a.device(), a.id(), Boolean.TRUE.equals(a.force())));
    }

    @Override
    public void blockdevCloseTray(BlockdevCloseTrayArguments a) throws QmpException {
        qmp(() -> changer.closeTray(a.device(), a.id()));
    }

    @Override
    public void blockdevRemoveMedium(BlockdevRemoveMediumArguments a) throws QmpException {
        qmp(() -> changer.remove(a.id()));
    }

    @Override
    public void blockdevInsertMedium(BlockdevInsertMediumArguments a) throws QmpException {
        qmp(() -> changer.insert(a.id(), a.nodeName()));
    }

    @Override
    public void blockdevChangeMedium(BlockdevChangeMediumArguments a) throws QmpException {
        MediaChanger.Mode mode =
                switch (a.readOnlyMode()) {
                    case READ_ONLY -> MediaChanger.Mode.READ_ONLY;
                    case READ_WRITE -> MediaChanger.Mode.READ_WRITE;
                    case null, default -> MediaChanger.Mode.RETAIN;
                };
        qmp(
                () ->
                        changer.change(
                                a.device(),
                                a.id(),
                                a.filename(),
                                a.format(),
                                Boolean.TRUE.equals(a.force()),
                                mode));
    }

    @Override
    public void blockSetIoThrottle(BlockIOThrottle a) throws QmpException {
        ThrottleLimits limits =
                ThrottleLimits.builder()
                        .bpsTotal(a.bps())
                        .bpsTotalMax(a.bpsMax())
                        .bpsTotalMaxLength(a.bpsMaxLength())
                        .bpsRead(a.bpsRd())
                        .bpsReadMax(a.bpsRdMax())
                        .bpsReadMaxLength(a.bpsRdMaxLength())
                        .bpsWrite(a.bpsWr())
                        .bpsWriteMax(a.bpsWrMax())
                        .bpsWriteMaxLength(a.bpsWrMaxLength())
                        .iopsTotal(a.iops())
                        .iopsTotalMax(a.iopsMax())
                        .iopsTotalMaxLength(a.iopsMaxLength())
                        .iopsRead(a.iopsRd())
                        .iopsReadMax(a.iopsRdMax())
                        .iopsReadMaxLength(a.iopsRdMaxLength())
                        .iopsWrite(a.iopsWr())
                        .iopsWriteMax(a.iopsWrMax())
                        .iopsWriteMaxLength(a.iopsWrMaxLength())
                        .iopsSize(a.iopsSize())
                        .build();
        qmp(() -> manager.limit(a.device(), a.id(), limits, a.group()));
    }
}
