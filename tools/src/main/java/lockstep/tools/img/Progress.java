package lockstep.tools.img;

import lockstep.tools.shell.Console;

/** How far a command has come, shown on one line that is written over. */
final class Progress implements AutoCloseable {
    /** Per cent that are not worth a line. */
    private static final double STEP = 2;

    private final Console console;
    private final boolean shown;
    private double last = -1;

    /** At the start. */
    Progress(Console console, boolean shown) {
        this.console = console;
        this.shown = shown;
        report(0, 1);
    }

    /** So much of a whole is done; a whole of nothing is done. */
    void report(long done, long whole) {
        double percent = whole <= 0 ? 100 : 100.0 * done / whole;
        if (shown && (last < 0 || percent > last + STEP || percent >= 100)) {
            last = percent;
            long hundredths = Math.round(percent * 100);
            String cents = Long.toString(hundredths % 100);
            console.print(
                    "    ("
                            + hundredths / 100
                            + (cents.length() == 1 ? ".0" : ".")
                            + cents
                            + "/100%)\r");
        }
    }

    /** Leaves the line. */
    @Override
    public void close() {
        if (shown) {
            console.print("\n");
        }
    }
}
