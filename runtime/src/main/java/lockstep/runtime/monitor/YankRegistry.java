package lockstep.runtime.monitor;

import lockstep.api.YankInstance;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The connections that yank can cut. A function shuts a socket down and returns at once; it takes no lock
 * that anything waiting for that socket could hold. Any thread.
 */
public final class YankRegistry {
    private final Map<YankInstance, List<Runnable>> instances = new LinkedHashMap<>();

    /** With no instance. */
    public YankRegistry() {}

    /** Lists an instance, perhaps without any function yet; no effect when it is listed. */
    public synchronized void register(YankInstance instance) {
        instances.computeIfAbsent(instance, key -> new ArrayList<>());
    }

    /** Removes an instance and its functions. */
    public synchronized void unregister(YankInstance instance) {
        instances.remove(instance);
    }

    /** Adds a function to an instance, which is listed if it is not. */
    public synchronized void add(YankInstance instance, Runnable cut) {
        instances.computeIfAbsent(instance, key -> new ArrayList<>()).add(cut);
    }

    /** Takes a function back. */
    public synchronized void remove(YankInstance instance, Runnable cut) {
        List<Runnable> functions = instances.get(instance);
        if (functions != null) {
            functions.remove(cut);
        }
    }

    /** Cuts all connections of the given instances; none of them if one is unknown. */
    public synchronized void yank(List<YankInstance> wanted) throws QmpException {
        for (YankInstance instance : wanted) {
            if (!instances.containsKey(instance)) {
                throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Instance not found");
            }
        }
        for (YankInstance instance : wanted) {
            instances.getOrDefault(instance, List.of()).forEach(Runnable::run);
        }
    }

    /** Cuts everything: the process ends. */
    public void cutAll() {
        List<Runnable> functions;
        synchronized (this) {
            functions = instances.values().stream().flatMap(List::stream).toList();
        }
        functions.forEach(Runnable::run);
    }

    /** All instances. */
    public synchronized List<YankInstance> all() {
        return List.copyOf(instances.keySet());
    }
}
