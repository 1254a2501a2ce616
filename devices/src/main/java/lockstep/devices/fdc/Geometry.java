package lockstep.devices.fdc;

import lockstep.api.FdcDriveType;

import org.jspecify.annotations.Nullable;

/**
 * How a diskette is laid out.
 *
 * @param drive the kind of drive that it is made for
 * @param sectors of 512 bytes on a track
 * @param tracks on a side
 * @param sides 1 or 2
 * @param rate the data rate as in the controller's DSR
 */
record Geometry(FdcDriveType drive, int sectors, int tracks, int sides, int rate) {
    private static final int RATE_500K = 0;
    private static final int RATE_300K = 1;
    private static final int RATE_250K = 2;
    private static final int RATE_1M = 3;

    /** What there is, the usual ones of each kind of drive first. */
    private static final Geometry[] KNOWN = {
        three(18, 80, RATE_500K),
        three(20, 80, RATE_500K),
        three(21, 80, RATE_500K),
        three(21, 82, RATE_500K),
        three(21, 83, RATE_500K),
        three(22, 80, RATE_500K),
        three(23, 80, RATE_500K),
        three(24, 80, RATE_500K),
        extended(36),
        extended(39),
        extended(40),
        extended(44),
        extended(48),
        three(9, 80, RATE_250K),
        three(10, 80, RATE_250K),
        three(10, 82, RATE_250K),
        three(10, 83, RATE_250K),
        three(13, 80, RATE_250K),
        three(14, 80, RATE_250K),
        five(15, 80, 2, RATE_500K),
        five(18, 80, 2, RATE_500K),
        five(18, 82, 2, RATE_500K),
        five(18, 83, 2, RATE_500K),
        five(20, 80, 2, RATE_500K),
        five(9, 80, 2, RATE_250K),
        five(11, 80, 2, RATE_250K),
        five(9, 40, 2, RATE_300K),
        five(9, 40, 1, RATE_300K),
        five(10, 41, 2, RATE_300K),
        five(10, 42, 2, RATE_300K),
        five(8, 40, 2, RATE_250K),
        five(8, 40, 1, RATE_250K),
        new Geometry(FdcDriveType._144, 9, 80, 1, RATE_250K),
    };

    private static Geometry three(int sectors, int tracks, int rate) {
        return new Geometry(FdcDriveType._144, sectors, tracks, 2, rate);
    }

    private static Geometry extended(int sectors) {
        return new Geometry(FdcDriveType._288, sectors, 80, 2, RATE_1M);
    }

    private static Geometry five(int sectors, int tracks, int sides, int rate) {
        return new Geometry(FdcDriveType._120, sectors, tracks, sides, rate);
    }

    private int size() {
        return sectors * tracks * sides;
    }

    private static boolean sameDiskettes(FdcDriveType a, FdcDriveType b) {
        return a == FdcDriveType._120 == (b == FdcDriveType._120);
    }

    /**
     * The layout of a diskette: one of that size which the drive is made for, else one of that size and of the
     * drive's width, else the drive's usual one.
     *
     * @param drive the kind of drive, {@link FdcDriveType#AUTO} for one that is to be what the medium asks for
     * @param fallback the kind that such a drive is if the size tells nothing
     * @param size sectors of the medium
     */
    static Geometry of(FdcDriveType drive, FdcDriveType fallback, long size) {
        Geometry fits = null;
        Geometry usual = null;
        FdcDriveType wanted = drive == FdcDriveType.AUTO ? fallback : drive;
        for (Geometry g : KNOWN) {
            if (g.size() == size) {
                if (drive == FdcDriveType.AUTO || g.drive == drive) {
                    return g;
                }
                fits = fits == null && sameDiskettes(g.drive, drive) ? g : fits;
            } else if (usual == null && g.drive == wanted) {
                usual = g;
            }
        }
        Geometry any = fits == null ? usual : fits;
        if (any == null) {
            throw new IllegalArgumentException("a drive of kind " + drive);
        }
        return any;
    }

    /** The most that a kind of drive can have of each, null for no drive. */
    static @Nullable Geometry limits(FdcDriveType drive) {
        Geometry most = null;
        for (Geometry g : KNOWN) {
            if (g.drive == drive) {
                most =
                        most == null
                                ? g
                                : new Geometry(
                                        drive,
                                        Math.max(most.sectors, g.sectors),
                                        Math.max(most.tracks, g.tracks),
                                        Math.max(most.sides, g.sides),
                                        g.rate);
            }
        }
        return most;
    }
}
