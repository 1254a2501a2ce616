package lockstep.runtime.object;

import lockstep.runtime.spi.UserObject;

/** A {@code memory-backend-ram} object: says how much RAM a board has that names it. */
public interface MemoryBackend extends UserObject {
    /** Bytes. */
    long size();

    /** A board takes its RAM from it; it cannot be removed from then on. */
    void use();
}
