package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.block.Completion;
import lockstep.block.node.Pieces;
import lockstep.devices.ide.Drive.After;
import lockstep.runtime.memory.LittleEndian;

/** The commands of an ATA disk (ATA/ATAPI-7, clause 6; DATA SET MANAGEMENT is ACS-2 7.10). */
final class AtaCommands {
    /** Sectors moved by one request of a PIO command: what the buffer holds. */
    private static final int CHUNK = BUFFER / SECTOR;

    private final Channel channel;

    AtaCommands(Channel channel) {
        this.channel = channel;
    }

    /** Runs a command; true when it is over and the guest is to be interrupted. */
    boolean execute(Drive d, int command) {
        switch (command) {
            case IDENTIFY -> {
                d.copyIn(d.identify());
                d.status = READY | SEEK;
                d.startTransfer(0, SECTOR, After.STOP);
                channel.interrupt();
                return false;
            }
            case READ_SECTORS, READ_SECTORS_ONCE, READ_SECTORS_EXT -> {
                d.takeCount(command == READ_SECTORS_EXT);
                d.wantedSectors = 1;
                readSectors(d);
                return false;
            }
            case READ_MULTIPLE, READ_MULTIPLE_EXT -> {
                if (d.multSectors == 0) {
                    d.abort();
                    return true;
                }
                d.takeCount(command == READ_MULTIPLE_EXT);
                d.wantedSectors = d.multSectors;
                readSectors(d);
                return false;
            }
            case WRITE_SECTORS, WRITE_SECTORS_ONCE, WRITE_SECTORS_EXT, WRITE_VERIFY -> {
                d.takeCount(command == WRITE_SECTORS_EXT);
                d.wantedSectors = 1;
                d.status = READY | SEEK;
                d.startTransfer(0, SECTOR, After.SECTOR_WRITE);
                return false;
            }
            case WRITE_MULTIPLE, WRITE_MULTIPLE_EXT, WRITE_MULTIPLE_FUA_EXT -> {
                if (d.multSectors == 0) {
                    d.abort();
                    return true;
                }
                d.takeCount(command != WRITE_MULTIPLE);
                d.wantedSectors = d.multSectors;
                d.status = READY | SEEK;
                int n = Math.min(d.nsector, d.wantedSectors);
                d.startTransfer(0, n * SECTOR, After.SECTOR_WRITE);
                return false;
            }
            case READ_DMA, READ_DMA_ONCE, READ_DMA_EXT -> {
                d.takeCount(command == READ_DMA_EXT);
                armDma(d, () -> dma(d, true));
                return false;
            }
            case WRITE_DMA, WRITE_DMA_ONCE, WRITE_DMA_EXT, WRITE_DMA_FUA_EXT -> {
                d.takeCount(command == WRITE_DMA_EXT || command == WRITE_DMA_FUA_EXT);
                armDma(d, () -> dma(d, false));
                return false;
            }
            case DATA_SET_MANAGEMENT -> {
                if ((d.feature & 1) == 0) {
                    d.abort();
                    return true;
                }
                // As QEMU: the count has one byte, and none means none.
                d.nsector &= 0xff;
                armDma(d, () -> trim(d));
                return false;
            }
            case VERIFY, VERIFY_ONCE, VERIFY_EXT -> {
                d.takeCount(command == VERIFY_EXT);
                if (d.inRange(d.address(), d.nsector)) {
                    done(d);
                } else {
                    d.abort();
                }
                return true;
            }
            case FLUSH, FLUSH_EXT -> {
                flush(d);
                return false;
            }
            case SET_MULTIPLE -> {
                int n = d.nsector & 0xff;
                if (n > MAX_MULTIPLE || (n & n - 1) != 0) {
                    d.abort();
                } else {
                    d.multSectors = n;
                    done(d);
                }
                return true;
            }
            case READ_NATIVE_MAX, READ_NATIVE_MAX_EXT -> {
                long sectors = d.sectors();
                if (sectors == 0) {
                    d.abort();
                    return true;
                }
                d.lba48 = command == READ_NATIVE_MAX_EXT;
                d.setAddress(Math.min(sectors - 1, d.lba48 ? Long.MAX_VALUE : 0x0fffffff));
                done(d);
                return true;
            }
            case SET_FEATURES -> {
                return setFeatures(d);
            }
            case SMART -> {
                return Smart.execute(channel, d);
            }
            case CHECK_POWER, CHECK_POWER_OLD -> {
                // Active or idle.
                d.nsector = 0xff;
                done(d);
                return true;
            }
            case RECALIBRATE,
                    SEEK_COMMAND,
                    INITIALIZE_PARAMETERS,
                    STANDBY,
                    STANDBY_NOW,
                    STANDBY_OLD,
                    STANDBY_NOW_OLD,
                    IDLE,
                    IDLE_NOW,
                    IDLE_OLD,
                    IDLE_NOW_OLD,
                    SLEEP,
                    SLEEP_OLD -> {
                done(d);
                return true;
            }
            default -> {
                d.abort();
                return true;
            }
        }
    }

    private static void done(Drive d) {
        d.status = READY | SEEK;
    }

    private void fail(Drive d) {
        d.abort();
        channel.interrupt();
    }

    // ---- PIO --------------------------------------------------------------------------------

    /** Fetches the next block for the guest, or ends the command when all were taken. */
    void readSectors(Drive d) {
        d.status = READY | SEEK;
        d.error = 0;
        if (d.nsector == 0) {
            d.stopTransfer();
            channel.noteRetry();
            return;
        }
        channel.noteRetry();
        long at = d.address();
        int n = Math.min(d.nsector, Math.clamp(d.wantedSectors, 1, CHUNK));
        if (!d.inRange(at, n)) {
            fail(d);
            return;
        }
        d.status |= BUSY;
        Completion done =
                channel.begin(
                        RETRY_PIO | RETRY_READ,
                        errno -> {
                            d.status &= ~BUSY;
                            if (errno != 0) {
                                fail(d);
                                return;
                            }
                            d.setAddress(at + n);
                            d.nsector -= n;
                            d.startTransfer(0, n * SECTOR, After.SECTOR_READ);
                            channel.interrupt();
                        });
        d.disk().read(at * SECTOR, d.buffer.asSlice(0, (long) n * SECTOR), done);
    }

    /** Stores the block that the guest has filled, then asks for the next. */
    void writeSectors(Drive d) {
        d.status = READY | SEEK | BUSY;
        channel.noteRetry();
        long at = d.address();
        int n = Math.min(d.nsector, Math.clamp(d.wantedSectors, 1, CHUNK));
        if (!d.inRange(at, n)) {
            fail(d);
            return;
        }
        Completion done =
                channel.begin(
                        RETRY_PIO,
                        errno -> {
                            d.status &= ~BUSY;
                            if (errno != 0) {
                                fail(d);
                                return;
                            }
                            d.nsector -= n;
                            d.setAddress(at + n);
                            if (d.nsector == 0) {
                                d.stopTransfer();
                            } else {
                                int more =
                                        Math.min(d.nsector, Math.clamp(d.wantedSectors, 1, CHUNK));
                                d.startTransfer(0, more * SECTOR, After.SECTOR_WRITE);
                            }
                            channel.interrupt();
                        });
        d.disk().write(at * SECTOR, Pieces.of(d.buffer.asSlice(0, (long) n * SECTOR)), done);
    }

    // ---- DMA --------------------------------------------------------------------------------

    private void armDma(Drive d, Runnable transfer) {
        d.stopTransfer();
        d.status = READY | SEEK | DRQ;
        channel.noteRetry();
        channel.master.arm(transfer);
    }

    private void failDma(Drive d) {
        channel.master.finish(false);
        fail(d);
    }

    /** Moves everything the registers ask for between medium and memory. */
    void dma(Drive d, boolean read) {
        BusMaster master = channel.master;
        d.status = READY | SEEK | DRQ;
        long bytes = (long) d.nsector * SECTOR;
        long room = master.available(bytes);
        if (room < bytes) {
            // The table ends early: the engine stops without an interrupt (SFF-8038i 1.2).
            d.status = READY | SEEK;
            master.finish(false);
            return;
        }
        if (!d.inRange(d.address(), d.nsector)) {
            failDma(d);
            return;
        }
        moveRest(d, read, room > bytes);
    }

    private void moveRest(Drive d, boolean read, boolean stayActive) {
        BusMaster master = channel.master;
        long at = d.address();
        DmaTransfer.Moved then =
                (errno, bytes) -> {
                    if (bytes == 0) {
                        failDma(d);
                        return;
                    }
                    int n = (int) (bytes / SECTOR);
                    d.setAddress(at + n);
                    d.nsector -= n;
                    if (d.nsector > 0) {
                        moveRest(d, read, stayActive);
                        return;
                    }
                    d.status = READY | SEEK;
                    channel.interrupt();
                    master.finish(stayActive);
                };
        long length = (long) d.nsector * SECTOR;
        if (read) {
            channel.dma.read(d, RETRY_DMA | RETRY_READ, at * SECTOR, length, then);
        } else if (!channel.dma.write(d, RETRY_DMA, at * SECTOR, length, then)) {
            failDma(d);
        }
    }

    /** TRIM: sectors full of ranges, each 48 bits of address and 16 of length. */
    void trim(Drive d) {
        if (d.nsector == 0) {
            d.status = READY | SEEK;
            channel.interrupt();
            channel.master.finish(false);
            return;
        }
        d.status = READY | SEEK | DRQ;
        if (!channel.master.fromGuest(d.buffer.asSlice(0, SECTOR))) {
            d.status = READY | SEEK;
            channel.master.finish(false);
            return;
        }
        d.nsector--;
        trimRanges(d, 0);
    }

    private void trimRanges(Drive d, int from) {
        for (int i = from; i < SECTOR / 8; i++) {
            long entry =
                    d.buffer.get(LittleEndian.INT, 8L * i) & 0xffff_ffffL
                            | (long) d.buffer.get(LittleEndian.INT, 8L * i + 4) << 32;
            long first = entry & 0xffff_ffff_ffffL;
            long count = entry >>> 48;
            if (count == 0) {
                continue;
            }
            if (!d.inRange(first, count)) {
                failDma(d);
                return;
            }
            int next = i + 1;
            Completion done =
                    channel.begin(
                            RETRY_DMA | RETRY_TRIM,
                            errno -> {
                                if (errno != 0) {
                                    failDma(d);
                                } else {
                                    trimRanges(d, next);
                                }
                            });
            d.disk().discard(first * SECTOR, count * SECTOR, done);
            return;
        }
        trim(d);
    }

    // ---- Others -----------------------------------------------------------------------------

    /** Makes written data durable. */
    void flush(Drive d) {
        channel.noteRetry();
        d.status |= BUSY;
        Completion done =
                channel.begin(
                        RETRY_FLUSH,
                        errno -> {
                            d.status &= ~BUSY;
                            if (errno != 0) {
                                fail(d);
                                return;
                            }
                            d.status = READY | SEEK;
                            channel.interrupt();
                        });
        d.disk().flush(done);
    }

    private boolean setFeatures(Drive d) {
        switch (d.feature) {
            case 0x02 -> {
                d.disk().writeCache(true);
                d.identifyWord(85, 0x4021);
                done(d);
                return true;
            }
            case 0x82 -> {
                d.disk().writeCache(false);
                d.identifyWord(85, 0x4001);
                flush(d);
                return false;
            }
            case 0x03 -> {
                return transferMode(d);
            }
            // Power management, read look-ahead, acoustic management, defaults: nothing to change.
            case 0x05, 0x85, 0x42, 0xc2, 0x55, 0xaa, 0x66, 0xcc, 0x67, 0x96, 0x9a, 0x69 -> {
                done(d);
                return true;
            }
            default -> {
                d.abort();
                return true;
            }
        }
    }

    /** Shows the chosen transfer mode in IDENTIFY; any mode is fast enough. */
    private static boolean transferMode(Drive d) {
        int mode = d.nsector & 7;
        int single = 0x07;
        int multi = 0x07;
        int ultra = 0x3f;
        switch (d.nsector >> 3 & 0x1f) {
            case 0, 1 -> {}
            case 2 -> single |= 1 << mode + 8;
            case 4 -> multi |= 1 << mode + 8;
            case 8 -> ultra |= 1 << mode + 8;
            default -> {
                d.abort();
                return true;
            }
        }
        d.identifyWord(62, single);
        d.identifyWord(63, multi);
        d.identifyWord(88, ultra);
        done(d);
        return true;
    }
}
