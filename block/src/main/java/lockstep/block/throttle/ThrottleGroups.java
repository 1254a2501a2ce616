package lockstep.block.throttle;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.Map;

/** The groups of one process by name: those that are objects, and those that drives name. Machine lock held. */
public final class ThrottleGroups {
    private final Map<String, ThrottleGroup> groups = new LinkedHashMap<>();
    private final Map<String, ThrottleGroup> objects = new LinkedHashMap<>();

    /** Without groups. */
    public ThrottleGroups() {}

    /** The group of that name, or null. */
    public @Nullable ThrottleGroup find(String name) {
        groups.values().removeIf(g -> !g.used() && !objects.containsValue(g));
        return groups.get(name);
    }

    /** A new group that a user made and deletes. */
    ThrottleGroup create(String name) throws BlockException {
        if (find(name) != null) {
            throw new BlockException(Errno.EINVAL, "A group with this name already exists");
        }
        ThrottleGroup made = new ThrottleGroup(name);
        groups.put(name, made);
        objects.put(name, made);
        return made;
    }

    /** The user's group is gone. */
    void delete(String name) {
        objects.remove(name);
    }

    /** A group that is there as long as it has members. */
    public ThrottleGroup forDrive(String name) {
        ThrottleGroup found = find(name);
        if (found != null) {
            return found;
        }
        ThrottleGroup made = new ThrottleGroup(name);
        groups.put(name, made);
        return made;
    }

    /** Nobody waits any more: the process is about to end. */
    public void end() {
        groups.values().forEach(ThrottleGroup::end);
    }
}
