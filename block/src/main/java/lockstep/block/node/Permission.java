package lockstep.block.node;

import java.util.ArrayList;
import java.util.List;

/**
 * Bits of what a user of a node may do with it, as QEMU numbers them (they are also byte offsets of
 * its file locks).
 */
public final class Permission {
    public static final int CONSISTENT_READ = 1;
    public static final int WRITE = 2;
    public static final int WRITE_UNCHANGED = 4;
    public static final int RESIZE = 8;
    public static final int ALL = 15;

    private static final String[] NAMES = {"consistent read", "write", "write unchanged", "resize"};

    private Permission() {}

    /** The names of the set bits, joined by comma and blank. */
    public static String names(int bits) {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < NAMES.length; i++) {
            if ((bits & 1 << i) != 0) {
                names.add(NAMES[i]);
            }
        }
        return String.join(", ", names);
    }

    /** The name of one bit number, 0 to 3. */
    public static String name(int bit) {
        return NAMES[bit];
    }
}
