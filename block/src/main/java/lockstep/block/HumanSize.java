package lockstep.block;

/** Sizes as people read them, and as QEMU prints them. */
public final class HumanSize {
    private static final String[] UNITS = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};

    private HumanSize() {}

    /** A number of bytes in three digits and a unit. */
    public static String of(long bytes) {
        int unit = 0;
        double value = bytes;
        while (unit + 1 < UNITS.length && value >= 1000) {
            value /= 1024;
            unit++;
        }
        int unitsOfLast = value < 1 ? 1000 : value < 10 ? 100 : value < 100 ? 10 : 1;
        long rounded = (long) Math.rint(value * unitsOfLast);
        String text = Long.toString(rounded / unitsOfLast);
        for (long rest = rounded % unitsOfLast, digit = unitsOfLast / 10; rest > 0; digit /= 10) {
            text += (text.indexOf('.') < 0 ? "." : "") + rest / digit;
            rest %= digit;
        }
        return text + " " + UNITS[unit] + "B";
    }
}
