package lockstep.devices.ide;

import lockstep.api.BiosAtaTranslation;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

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
     * @param translation how firmware is to make fewer cylinders of it
     */
    public record Geometry(int cylinders, int heads, int sectors, BiosAtaTranslation translation) {
        private static final int MOST_HEADS = 16;
        private static final int MOST_CYLINDERS = 16383;
        private static final int TABLE = 0x1be;
        private static final int ENTRY = 16;
        private static final int SIGNATURE = 0xaa55;

        /** What the BIOS can tell without translation has at most that many cylinders. */
        private static final int BIOS_CYLINDERS = 1024;

        /** With more cylinders times heads than that, only counting sectors reaches all of them. */
        private static final int MOST_DOUBLED = 131072;

        /** As its cylinders suggest. */
        public static Geometry of(int cylinders, int heads, int sectors) {
            boolean small = cylinders <= BIOS_CYLINDERS && heads <= MOST_HEADS && sectors <= 63;
            return new Geometry(
                    cylinders,
                    heads,
                    sectors,
                    small ? BiosAtaTranslation.NONE : BiosAtaTranslation.LBA);
        }

        /** The usual one for a disk of that many sectors: 16 heads, 63 sectors, at most 16383 cylinders. */
        public static Geometry of(long diskSectors) {
            long cylinders = diskSectors / (MOST_HEADS * 63);
            return of(Math.clamp(cylinders, 2, MOST_CYLINDERS), MOST_HEADS, 63);
        }

        /** With another translation, if one is named. */
        public Geometry translated(@Nullable BiosAtaTranslation how) {
            return how == null || how == BiosAtaTranslation.AUTO
                    ? this
                    : new Geometry(cylinders, heads, sectors, how);
        }

        /**
         * The one that a disk was partitioned with: the first partition that tells its end is taken to end with a
         * cylinder. More heads than a disk can have are those of a translation.
         *
         * @param first the first sector of the disk
         */
        public static Geometry of(byte[] first, long diskSectors) {
            ByteBuffer b = ByteBuffer.wrap(first).order(ByteOrder.LITTLE_ENDIAN);
            if ((b.getShort(510) & 0xffff) == SIGNATURE) {
                for (int at = TABLE; at < 510; at += ENTRY) {
                    int heads = (b.get(at + 5) & 0xff) + 1;
                    int sectors = b.get(at + 6) & 63;
                    long cylinders = sectors == 0 ? 0 : diskSectors / (heads * sectors);
                    boolean tells = b.getInt(at + 12) != 0 && heads > 1;
                    if (tells && cylinders >= 1 && cylinders <= MOST_CYLINDERS) {
                        return heads > MOST_HEADS
                                ? of(diskSectors).undone()
                                : new Geometry(
                                        (int) cylinders, heads, sectors, BiosAtaTranslation.NONE);
                    }
                }
            }
            return of(diskSectors);
        }

        private Geometry undone() {
            return translated(
                    cylinders * heads <= MOST_DOUBLED
                            ? BiosAtaTranslation.LARGE
                            : BiosAtaTranslation.LBA);
        }
    }
}
