package lockstep.devices.ide;

/**
 * What a drive says of itself.
 *
 * @param serial at most 20 ASCII characters
 * @param model at most 40
 * @param firmware at most 8
 * @param wwn world wide name, or 0
 * @param geometry cylinders, heads and sectors that software without LBA uses
 * @param physicalExponent the physical sector holds 2 to this power of 512-byte sectors, 0 to 8
 * @param rotationRate turns in a minute, 1 for a disk that does not turn, 0 for no answer
 */
public record DriveIdentity(
        String serial,
        String model,
        String firmware,
        long wwn,
        Geometry geometry,
        int physicalExponent,
        int rotationRate) {
    /**
     * A disk's geometry.
     *
     * @param cylinders 1 to 65535
     * @param heads 1 to 16
     * @param sectors 1 to 255
     */
    public record Geometry(int cylinders, int heads, int sectors) {
        /** The usual one for a disk of that many sectors: 16 heads, 63 sectors, at most 16383 cylinders. */
        public static Geometry of(long diskSectors) {
            long cylinders = diskSectors / (16 * 63);
            return new Geometry(Math.clamp(cylinders, 2, 16383), 16, 63);
        }
    }
}
