package lockstep.devices.pc;

import java.util.List;

/**
 * What differs between the versions of the board.
 *
 * @param name the machine type
 * @param isDefault whether {@code -machine} may be left out
 */
record PcVersion(String name, boolean isDefault) {
    private static final String PREFIX = "pc-i440fx-";

    /** All versions, the newest first. */
    static List<PcVersion> all() {
        return List.of(
                new PcVersion(PREFIX + "10.2", true),
                older("10.1"),
                older("10.0"),
                older("9.2"),
                older("9.1"),
                older("9.0"),
                older("8.2"),
                older("8.1"),
                older("8.0"),
                older("7.2"));
    }

    private static PcVersion older(String number) {
        return new PcVersion(PREFIX + number, false);
    }
}
