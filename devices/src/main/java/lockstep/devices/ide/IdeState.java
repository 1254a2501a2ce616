package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.devices.ide.Drive.After;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Channels and drives on the wire. QEMU: vmstate "ide" v3 with "ide_bus" v1 and "ide_drive" v3. */
final class IdeState {
    private IdeState() {}

    /** Describes what follows the PCI part. */
    static void describe(StateCodec c, Channel[] channels) throws StateException {
        c.structs(
                "bmdma", "ide bmdma", 3, 2, (s, i) -> channels[i].master.describe(s, channels[i]));
        c.structs("bus", "ide_bus", 1, 2, (s, i) -> describeChannel(s, channels[i]));
        c.structs("bus[0].ifs", "ide_drive", 3, 2, (s, i) -> describeDrive(s, channels[0], i));
        c.structs("bus[1].ifs", "ide_drive", 3, 2, (s, i) -> describeDrive(s, channels[1], i));
    }

    private static void describeChannel(StateCodec c, Channel ch) throws StateException {
        ch.control = c.u8("cmd", ch.control);
        ch.unit = c.u8("unit", ch.unit);
        if (c.loading()) {
            if (ch.unit > 1) {
                throw c.invalid("ide_bus: unit " + ch.unit + " does not exist");
            }
            // Such a request could still write to the new state's memory.
            if (!ch.cancelKept()) {
                throw c.invalid("ide_bus: requests of the old state do not end");
            }
        }
        c.subsection(
                "ide_bus/error",
                2,
                ch.inFlight != 0,
                s -> {
                    ch.inFlight = s.i32("error_status", ch.inFlight);
                    ch.retrySector = s.i64("retry_sector_num", ch.retrySector);
                    ch.retryCount = s.u32("retry_nsector", ch.retryCount);
                    ch.retryUnit = s.u8("retry_unit", ch.retryUnit);
                });
        if (c.loading()) {
            ch.retryUnit &= 1;
            if (ch.retryCount < 0 || ch.retryCount > 65536) {
                throw c.invalid("ide_bus: retry_nsector is beyond 65536");
            }
        }
    }

    private static void describeDrive(StateCodec c, Channel ch, int index) throws StateException {
        Drive d = ch.drives[index];
        d.multSectors = c.i32("mult_sectors", d.multSectors);
        d.identified = c.i32("identify_set", d.identified ? 1 : 0) != 0;
        if (d.identified) {
            c.bytes("identify_data", d.identifyData);
        }
        d.feature = c.u8("feature", d.feature);
        d.error = c.u8("error", d.error);
        d.nsector = c.u32("nsector", d.nsector);
        d.sector = c.u8("sector", d.sector);
        d.lcyl = c.u8("lcyl", d.lcyl);
        d.hcyl = c.u8("hcyl", d.hcyl);
        d.hobFeature = c.u8("hob_feature", d.hobFeature);
        d.hobSector = c.u8("hob_sector", d.hobSector);
        d.hobNsector = c.u8("hob_nsector", d.hobNsector);
        d.hobLcyl = c.u8("hob_lcyl", d.hobLcyl);
        d.hobHcyl = c.u8("hob_hcyl", d.hobHcyl);
        d.select = c.u8("select", d.select);
        d.status = c.u8("status", d.status);
        d.lba48 = c.u8("lba48", d.lba48 ? 1 : 0) != 0;
        d.senseKey = c.u8("sense_key", d.senseKey);
        d.asc = c.u8("asc", d.asc);
        d.cdromChanged = c.u8("cdrom_changed", d.cdromChanged);
        if (c.loading()) {
            if (d.multSectors < 0 || d.multSectors > MAX_MULTIPLE) {
                throw c.invalid("ide_drive: mult_sectors " + d.multSectors + " is beyond 16");
            }
            if (d.nsector < 0 || d.nsector > 65536) {
                throw c.invalid("ide_drive: nsector is beyond 65536");
            }
            d.bufferAt = 0;
            d.bufferEnd = 0;
            d.after = After.DUMMY_STOP;
            d.trayOpen = false;
            d.trayLocked = false;
            d.newMedia = false;
            d.ejectRequest = false;
            if (d.identified && d.kind == Drive.Kind.DISK) {
                d.disk().writeCache((d.identifyData[2 * 85] & 0x20) != 0);
            }
        }
        boolean transfer =
                (d.status & DRQ) != 0
                        || (ch.inFlight & RETRY_PIO) != 0 && ch.retryUnit == index && d.present();
        c.subsection("ide_drive/pio_state", 1, transfer, s -> describeTransfer(s, d));
        c.subsection(
                "ide_drive/tray_state",
                1,
                d.trayOpen || d.trayLocked,
                s -> {
                    d.trayOpen = s.bool("tray_open", d.trayOpen);
                    d.trayLocked = s.bool("tray_locked", d.trayLocked);
                });
        c.subsection(
                "ide_drive/atapi/gesn_state",
                1,
                d.newMedia || d.ejectRequest,
                s -> {
                    d.newMedia = s.bool("new_media", d.newMedia);
                    d.ejectRequest = s.bool("eject_request", d.ejectRequest);
                });
    }

    private static void describeTransfer(StateCodec c, Drive d) throws StateException {
        d.wantedSectors = c.i32("req_nb_sectors", d.wantedSectors);
        byte[] copy = new byte[BUFFER_ON_WIRE];
        if (!c.loading() && d.present()) {
            MemorySegment.copy(d.buffer, ValueLayout.JAVA_BYTE, 0, copy, 0, copy.length);
        }
        c.bytes("io_buffer", copy);
        int at = c.i32("cur_io_buffer_offset", d.bufferAt);
        int length = c.i32("cur_io_buffer_len", d.bufferEnd - d.bufferAt);
        int after = c.u8("end_transfer_fn_idx", d.after.ordinal());
        d.elementarySize = c.i32("elementary_transfer_size", d.elementarySize);
        d.packetSize = c.i32("packet_transfer_size", d.packetSize);
        if (!c.loading()) {
            return;
        }
        if (at < 0 || length < 0 || at > BUFFER_ON_WIRE || length > BUFFER_ON_WIRE - at) {
            throw c.invalid("ide_drive/pio_state: the transfer lies outside the buffer");
        }
        if (after >= After.values().length) {
            throw c.invalid("ide_drive/pio_state: end_transfer_fn_idx " + after + " is unknown");
        }
        if (d.packetSize < 0 || d.elementarySize < 0) {
            throw c.invalid("ide_drive/pio_state: negative transfer size");
        }
        if (d.present()) {
            d.copyIn(copy);
            d.bufferAt = at;
            d.bufferEnd = at + length;
            d.after = After.values()[after];
        }
    }
}
