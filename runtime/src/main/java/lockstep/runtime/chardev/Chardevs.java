package lockstep.runtime.chardev;

import org.jspecify.annotations.Nullable;

import java.util.Collection;

/** The character devices of a process by id. Used under the machine lock. */
public interface Chardevs {
    /** The device of that id, or null. */
    @Nullable Chardev find(String id);

    /** All devices. */
    Collection<Chardev> all();
}
