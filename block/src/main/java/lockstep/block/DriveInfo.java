package lockstep.block;

/**
 * A drive made by {@code -drive} with an interface, for the machine to make a device of.
 *
 * @param type ide, scsi, floppy, pflash, virtio, sd, mtd, xen or none
 * @param bus the bus number
 * @param unit the unit on the bus
 * @param cdrom media=cdrom
 * @param serial the deprecated serial number, "" when unset
 * @param backend the drive
 */
public record DriveInfo(
        String type, int bus, int unit, boolean cdrom, String serial, BlockBackend backend) {}
