package lockstep.tools.shell;

import org.jspecify.annotations.Nullable;

/** How a file is cached: values of {@code -t} and {@code -T}. */
public enum CacheMode {
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
    public static CacheMode of(String refusal, @Nullable String name, CacheMode fallback)
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

    /** Whether the host's cache is passed by. */
    public boolean direct() {
        return direct;
    }

    /** Whether flushes are ignored. */
    public boolean noFlush() {
        return noFlush;
    }

    /** Whether each write is flushed. */
    public boolean writethrough() {
        return writethrough;
    }
}
