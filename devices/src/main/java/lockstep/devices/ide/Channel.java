package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.devices.ide.Drive.After;
import lockstep.devices.ide.Drive.Kind;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.LittleEndian;

import org.jspecify.annotations.Nullable;

/**
 * One ATA channel with its two positions, command block and control registers (ATA/ATAPI-7 5.1 and 7.2).
 * Called under the machine lock. Requests to a medium go on in the background: between a command and its
 * completion the drive is busy, or has DRQ set while DMA runs.
 */
final class Channel {
    // Wiring.
    final Drive[] drives = {new Drive(), new Drive()};
    final BusMaster master;
    final DmaTransfer dma = new DmaTransfer(this);
    private final Irq irq;
    private final AtaCommands ata = new AtaCommands(this);
    private final PacketTransport transport = new PacketTransport(this);
    private final PacketCommands packets = new PacketCommands(this, transport);

    // Guest-visible state.
    int control;
    int unit;

    // The request in flight or the last one, as a stopped machine has to remember it.
    int retryUnit;
    long retrySector;
    int retryCount;

    /** RETRY bits of the request in flight, 0 when there is none. */
    int inFlight;

    /** Counts up when requests in flight lose their meaning. */
    private int era;

    Channel(Irq irq, GuestMemory memory) {
        this.irq = irq;
        this.master = new BusMaster(memory);
    }

    /** Puts a drive into a position. Before the machine runs. */
    void plug(int position, Drive drive) {
        drives[position] = drive;
    }

    Drive active() {
        return drives[unit];
    }

    /** Power-on state of everything. */
    void reset() {
        abandon();
        unit = 0;
        control = 0;
        retryUnit = 0;
        retrySector = 0;
        retryCount = 0;
        master.reset();
        for (Drive d : drives) {
            d.reset();
        }
        irq.set(false);
    }

    /** Waits for requests in flight; those that are kept for a retry never run. */
    private void abandon() {
        drain();
        cancelKept();
        master.disarm();
    }

    /** Makes all requests meaningless, and cancels those that are kept for a retry. False when some are in flight. */
    boolean cancelKept() {
        era++;
        inFlight = 0;
        boolean idle = true;
        for (Drive d : drives) {
            if (d.present() && !d.disk().cancelKept()) {
                idle = false;
            }
        }
        return idle;
    }

    /** Waits until no request is in flight, but for those kept for a retry. */
    void drain() {
        if (inFlight != 0) {
            for (Drive d : drives) {
                if (d.present()) {
                    d.disk().drain();
                }
            }
        }
    }

    // ---- Requests ---------------------------------------------------------------------------

    /** A completion that counts only if nothing has reset or reloaded the channel meanwhile. */
    @FunctionalInterface
    interface Done {
        void done(int errno);
    }

    /** Marks a request as in flight and wraps what follows it. */
    lockstep.block.Completion begin(int kind, Done done) {
        inFlight = kind;
        int mine = era;
        return errno -> {
            if (mine == era) {
                inFlight = 0;
                done.done(errno);
            }
        };
    }

    /** Notes where a retry of the request that now starts has to begin. */
    void noteRetry() {
        Drive d = active();
        retryUnit = unit;
        retrySector = d.address();
        retryCount = d.nsector;
    }

    /** Starts a request again that the loaded machine had in flight. */
    void restart() {
        int kind = inFlight;
        if (kind == 0) {
            return;
        }
        inFlight = 0;
        unit = retryUnit & 1;
        Drive d = active();
        if (!d.present()) {
            return;
        }
        if (d.kind == Kind.CDROM) {
            // The packet is not in the stream: the guest has to send it again.
            transport.fail(d, PacketTransport.ABORTED_COMMAND, 0);
            master.finish(false);
            return;
        }
        if ((kind & RETRY_FLUSH) != 0) {
            ata.flush(d);
            return;
        }
        d.nsector = retryCount;
        d.setAddress(retrySector);
        if ((kind & RETRY_PIO) != 0) {
            if ((kind & RETRY_READ) != 0) {
                ata.readSectors(d);
            } else {
                ata.writeSectors(d);
            }
        } else if ((kind & RETRY_DMA) != 0) {
            master.rewind();
            if ((kind & RETRY_TRIM) != 0) {
                ata.trim(d);
            } else {
                ata.dma(d, (kind & RETRY_READ) != 0);
            }
        }
    }

    /** Whether a request of the loaded machine waits for {@link #restart}. */
    boolean restartPending() {
        return inFlight != 0;
    }

    /** State was loaded. */
    void loaded() {
        Drive d = active();
        // A command that waited for the bus master: the stream does not say which one, but the
        // guest's
        // start will carry its direction.
        if (inFlight == 0
                && d.kind == Kind.DISK
                && (d.status & (DRQ | BUSY)) == DRQ
                && d.bufferAt == d.bufferEnd) {
            master.arm(() -> ata.dma(d, master.toMemory()));
        }
    }

    // ---- Interrupt --------------------------------------------------------------------------

    /** Interrupts the guest, if the drive may. */
    void interrupt() {
        if ((control & CONTROL_NIEN) == 0) {
            master.interrupt();
            irq.set(true);
        }
    }

    // ---- Registers --------------------------------------------------------------------------

    private boolean empty() {
        return !drives[0].present() && !drives[1].present();
    }

    /** Whether register reads of the selected position find nobody. */
    private boolean nobody() {
        return empty() || unit != 0 && !active().present();
    }

    /** Reads a command block register, 1 to 7. */
    int read(int register) {
        Drive d = active();
        boolean hob = (control & CONTROL_HOB) != 0;
        return switch (register & 7) {
            case 1 -> nobody() ? 0 : hob ? d.hobFeature : d.error;
            case 2 -> empty() ? 0 : hob ? d.hobNsector : d.nsector & 0xff;
            case 3 -> empty() ? 0 : hob ? d.hobSector : d.sector;
            case 4 -> empty() ? 0 : hob ? d.hobLcyl : d.lcyl;
            case 5 -> empty() ? 0 : hob ? d.hobHcyl : d.hcyl;
            case 6 -> empty() ? 0 : d.select;
            case 7 -> {
                irq.set(false);
                yield nobody() ? 0 : d.status;
            }
            default -> 0xff;
        };
    }

    /** The alternate status register: status without acknowledging the interrupt. */
    int alternateStatus() {
        return nobody() ? 0 : active().status;
    }

    /** Writes a command block register, 1 to 7. */
    void write(int register, int value) {
        if (register != 7 && (active().status & (BUSY | DRQ)) != 0) {
            return;
        }
        control &= ~CONTROL_HOB;
        if (register == 7) {
            irq.set(false);
            execute(value);
            return;
        }
        if (register == 6) {
            drives[0].select = value | DEVICE_ALWAYS;
            drives[1].select = value | DEVICE_ALWAYS;
            unit = (value & DEVICE_SELECT) >> 4;
            return;
        }
        for (Drive d : drives) {
            switch (register) {
                case 1 -> {
                    d.hobFeature = d.feature;
                    d.feature = value;
                }
                case 2 -> {
                    d.hobNsector = d.nsector & 0xff;
                    d.nsector = value;
                }
                case 3 -> {
                    d.hobSector = d.sector;
                    d.sector = value;
                }
                case 4 -> {
                    d.hobLcyl = d.lcyl;
                    d.lcyl = value;
                }
                case 5 -> {
                    d.hobHcyl = d.hcyl;
                    d.hcyl = value;
                }
                default -> {}
            }
        }
    }

    /** Writes the device control register. */
    void writeControl(int value) {
        boolean wasReset = (control & CONTROL_SRST) != 0;
        control = value;
        if ((value & CONTROL_SRST) != 0 && !wasReset) {
            softReset();
        }
    }

    private void softReset() {
        abandon();
        master.finish(false);
        for (Drive d : drives) {
            d.diagnose();
        }
        selectFirst();
        irq.set(false);
    }

    private void selectFirst() {
        // The selection falls back to the first drive (ATA/ATAPI-7, volume 2, 11.2).
        unit = 0;
        drives[0].select &= ~DEVICE_SELECT;
        drives[1].select &= ~DEVICE_SELECT;
    }

    private void execute(int command) {
        Drive d = active();
        if (unit != 0 && !d.present()) {
            return;
        }
        if ((d.status & (BUSY | DRQ)) != 0 && !(command == DEVICE_RESET && d.kind == Kind.CDROM)) {
            return;
        }
        d.status = READY | BUSY;
        d.error = 0;
        if (command == DIAGNOSTIC) {
            for (Drive each : drives) {
                each.diagnose();
            }
            selectFirst();
            interrupt();
            return;
        }
        if (command == DEVICE_RESET && d.kind == Kind.CDROM) {
            abandon();
            master.finish(false);
            d.signature();
            d.stopTransfer();
            d.status = 0;
            d.error = 0x01;
            return;
        }
        boolean complete =
                switch (d.kind) {
                    case DISK -> ata.execute(d, command);
                    case CDROM -> packets.execute(d, command);
                    case NONE -> {
                        d.abort();
                        yield true;
                    }
                };
        if (complete) {
            d.status &= ~BUSY;
            interrupt();
        }
    }

    // ---- Data port --------------------------------------------------------------------------

    /** Reads {@code size} (1, 2 or 4) bytes from the data port. */
    int readData(int size) {
        Drive d = active();
        if (!d.present() || (d.status & DRQ) == 0 || !d.after.toHost()) {
            return -1;
        }
        if (d.bufferAt + size > d.bufferEnd) {
            return -1;
        }
        int value =
                switch (size) {
                    case 1 -> d.get(d.bufferAt);
                    case 2 -> d.buffer.get(LittleEndian.SHORT, d.bufferAt) & 0xffff;
                    default -> d.buffer.get(LittleEndian.INT, d.bufferAt);
                };
        d.bufferAt += size;
        moved(d);
        return value;
    }

    /** Writes {@code size} (1, 2 or 4) bytes to the data port. */
    void writeData(int size, int value) {
        Drive d = active();
        if (!d.present() || (d.status & DRQ) == 0 || d.after.toHost()) {
            return;
        }
        if (d.bufferAt + size > d.bufferEnd) {
            return;
        }
        switch (size) {
            case 1 -> d.put(d.bufferAt, value);
            case 2 -> d.buffer.set(LittleEndian.SHORT, d.bufferAt, (short) value);
            default -> d.buffer.set(LittleEndian.INT, d.bufferAt, value);
        }
        d.bufferAt += size;
        moved(d);
    }

    private void moved(Drive d) {
        if (d.bufferAt < d.bufferEnd) {
            return;
        }
        d.status &= ~DRQ;
        After next = d.after;
        switch (next) {
            case SECTOR_READ -> ata.readSectors(d);
            case SECTOR_WRITE -> ata.writeSectors(d);
            case STOP, DUMMY_STOP -> d.stopTransfer();
            case PACKET_REPLY -> transport.reply(d);
            case PACKET_COMMAND -> packets.packet(d);
        }
    }

    // ---- Bus master -------------------------------------------------------------------------

    /** Writes a bus master register, one byte. */
    void writeMaster(int offset, int value) {
        if (master.write(offset, value)) {
            // The guest stops a transfer that runs: it ends first, as it cannot be taken back.
            drain();
            master.stopped();
        }
    }

    /** The drive whose request is in flight or was the last. */
    @Nullable Drive retryDrive() {
        Drive d = drives[retryUnit & 1];
        return d.present() ? d : null;
    }
}
