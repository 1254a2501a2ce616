package lockstep.runtime.object;

import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Mapping;

/** A {@code memory-backend-*} object: memory that a board takes as its RAM. Under the machine lock. */
public interface MemoryBackend extends UserObject {
    /** Bytes. */
    long size();

    /** The name of the memory in a migration stream. */
    String blockName();

    /** The memory, whole pages; it is there as long as the object. */
    Mapping mapping();

    /** Takes all of it from the host now. */
    void preallocate() throws QmpException;

    /** A board takes its RAM from it; it cannot be removed from then on. Throws if another one did. */
    void use() throws QmpException;
}
