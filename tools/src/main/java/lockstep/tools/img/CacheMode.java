package lockstep.tools.img;

import org.jspecify.annotations.Nullable;

/** How a file is cached: values of {@code -t} and {@code -T}. */
enum CacheMode {
    NONE(true, false, false),
    DIRECTSYNC(true, false, true),
    WRITEBACK(false, false, false),
    UNSAFE(false, true, false),
    WRITETHROUGH(false, false, true);

    private final boolean direct;
    private final boolean noFlush;
    private final boolean writethrough;

    CacheMode(boolean direct, boolean noFlush, boolean writethrough) {
        this.direct = direct;
        this.noFlush = noFlush;
        this.writethrough = writethrough;
    }

    /** The mode of that name, the fallback for none. */
    static CacheMode of(String refusal, @Nullable String name, CacheMode fallback)
            throws ToolException {
        return switch (name) {
            case null -> fallback;
            case "none", "off" -> NONE;
            case "directsync" -> DIRECTSYNC;
            case "writeback" -> WRITEBACK;
            case "unsafe" -> UNSAFE;
            case "writethrough" -> WRITETHROUGH;
            default -> throw new ToolException(refusal + name);
        };
    }

    boolean direct() {
        return direct;
    }

    boolean noFlush() {
        return noFlush;
    }

    /** Whether each write is flushed. */
    boolean writethrough() {
        return writethrough;
    }
}
