package lockstep.devices.flash;

import lockstep.api.PflashCfi01Options;
import lockstep.block.BlockBackend;
import lockstep.block.BlockLayer;
import lockstep.block.node.BlockException;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciBus;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.machine.Host;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.RunListener;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;

import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * The part {@code cfi.pflash01}: a flash chip below 4 GiB, whose content is a block device's. Changes are written there
 * one after the other, each with the newest content.
 */
public final class Flash implements Device, FlashChip.Content {
    /** Bytes of an erase block. */
    public static final int BLOCK = 4096;

    /** The type. */
    public static final DeviceType<PflashCfi01Options> TYPE =
            DeviceType.of(
                            "cfi.pflash01",
                            PflashCfi01Options::read,
                            PflashCfi01Options::write,
                            PflashCfi01Options.builder()
                                    .numBlocks(0L)
                                    .sectorLength(0L)
                                    .width(0)
                                    .deviceWidth(0)
                                    .maxDeviceWidth(0)
                                    .bigEndian(false)
                                    .secure(false)
                                    .id0(0)
                                    .id1(0)
                                    .id2(0)
                                    .id3(0)
                                    .oldMultipleChipHandling(false)
                                    .build(),
                            new DeviceType.Home("System", false, m -> "sysbus"),
                            Flash::new)
                    .builtIn();

    private static final int SECTOR = 512;

    private final Host host;
    private final BlockBackend backend;
    private final boolean readOnly;
    private final RamBlock block;
    private final AddressSpace.CommandRom rom;

    // What is not written yet, and whether something is being written.
    private long from = Long.MAX_VALUE;
    private long to;
    private boolean writing;
    private boolean loaded;

    private Flash(DeviceRequest<PflashCfi01Options> request, DeviceScope scope)
            throws DeviceException {
        PflashCfi01Options options = request.options();
        host = scope.machine().service(Host.class);
        String name = Objects.requireNonNull(options.name());
        long blocks = Objects.requireNonNull(options.numBlocks());
        try {
            backend =
                    scope.machine()
                            .service(BlockLayer.class)
                            .forDevice(Objects.requireNonNull(options.drive()));
            readOnly = backend.readOnly();
            backend.attachDevice(request.name(), false, readOnly, true);
            scope.onClose(this::letGo);
            block = scope.block(name, blocks * BLOCK, blocks * BLOCK);
            backend.readBlocking(0, block.memory());
        } catch (BlockException e) {
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        }
        FlashChip chip = new FlashChip(name.endsWith("1") ? 1 : 0, blocks, readOnly, this);
        PcBoard board = PcBoard.of(scope);
        rom =
                board.core()
                        .memory()
                        .mapCommandRom(name, board.placeFlash(block), block, PciBus.PRIORITY, chip);
        scope.own(rom);
        scope.onReset(chip::reset);
        scope.section(chip);
        RunControl run = scope.machine().service(RunControl.class);
        RunListener keeper = (running, state) -> keepLoaded(running);
        run.addListener(0, keeper);
        scope.onClose(() -> run.removeListener(keeper));
    }

    @Override
    public int get(long offset) {
        return block.memory().get(ValueLayout.JAVA_BYTE, offset) & 0xff;
    }

    @Override
    public void put(long offset, int value) {
        block.memory().set(ValueLayout.JAVA_BYTE, offset, (byte) value);
    }

    @Override
    public void changed(long offset, long length) {
        block.markDirty(offset, length);
        from = Math.min(from, offset & -SECTOR);
        to = Math.max(to, offset + length + SECTOR - 1 & -SECTOR);
        writeBack();
    }

    @Override
    public void direct(boolean direct) {
        rom.direct(direct);
    }

    @Override
    public void loaded() {
        loaded = !readOnly;
    }

    /** Until the guest runs here, the block device is another machine's. */
    private void keepLoaded(boolean running) {
        if (running && loaded) {
            loaded = false;
            changed(0, block.maxLength());
        }
    }

    /** One write at a time: of two at once, the older content might be what stays. */
    private void writeBack() {
        if (writing || from >= to) {
            return;
        }
        long start = from;
        long length = to - from;
        from = Long.MAX_VALUE;
        to = 0;
        writing = true;
        backend.write(
                start,
                block.memory().asSlice(start, length),
                errno -> {
                    writing = false;
                    if (errno != 0) {
                        host.report("Could not update PFLASH: " + Errno.text(errno));
                    }
                    writeBack();
                });
    }

    private void letGo() {
        backend.drain();
        backend.detachDevice();
    }
}
