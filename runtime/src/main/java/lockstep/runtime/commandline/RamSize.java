package lockstep.runtime.commandline;

import lockstep.api.MemorySizeConfiguration;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.runtime.option.OptionException;

import java.util.Objects;

/**
 * How much RAM a machine has.
 *
 * @param given whether it was said
 * @param bytes at its start, whole units
 * @param most bytes that it may come to have
 * @param slots how many modules may be added
 */
record RamSize(boolean given, long bytes, long most, long slots) {
    /** RAM comes in units of 8 KiB. */
    private static final long UNIT = 8192;

    /**
     * What was said, in QEMU's words if that cannot be.
     *
     * @param usual the bytes when none are given
     */
    static RamSize of(MemorySizeConfiguration c, long usual) throws OptionException {
        long size = Objects.requireNonNullElse(c.size(), 0L);
        long bytes = size == 0 ? usual : size + UNIT - 1 & -UNIT;
        if (size != 0 && bytes == 0) {
            throw new OptionException("ram size too large", false);
        }
        Long most = c.maxSize();
        long slots = Objects.requireNonNullElse(c.slots(), 0L);
        if (most == null) {
            if (c.slots() != null) {
                throw new OptionException("slots specified but no max-size", false);
            }
            return new RamSize(size != 0, bytes, bytes, 0);
        }
        String sizes =
                " memory size (0x%x) %%s the initial memory size (0x%x)".formatted(most, bytes);
        if (Long.compareUnsigned(most, bytes) < 0) {
            throw new OptionException(
                    "invalid value of maxmem: maximum" + sizes.formatted("must be at least"),
                    false);
        }
        if (most == bytes && slots != 0) {
            throw new OptionException(
                    "invalid value of maxmem: memory slots were specified but maximum"
                            + sizes.formatted("is equal to"),
                    false);
        }
        return new RamSize(size != 0, bytes, most, slots);
    }

    /** What the machine's property says. */
    JsonObject describe() {
        JsonObject all = new JsonObject().put("size", JsonNumber.ofUnsigned(bytes));
        return slots == 0
                ? all
                : all.put("slots", JsonNumber.ofUnsigned(slots))
                        .put("max-size", JsonNumber.ofUnsigned(most));
    }
}
