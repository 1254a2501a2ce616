package lockstep.colo.packet;

import org.jspecify.annotations.Nullable;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Connections by key, in order of creation. A guest can make up keys without end, so a full table
 * is emptied before it grows further. QEMU: HASHTABLE_MAX_SIZE.
 *
 * @param <C> what is remembered of a connection
 */
public final class ConnectionTable<C> {
    /** A new connection empties a table that holds more than this. */
    public static final int LIMIT = 16384;

    private final Map<ConnectionKey, C> connections = new LinkedHashMap<>();
    private final Supplier<C> maker;

    /** An empty table whose new entries come from {@code maker}. */
    public ConnectionTable(Supplier<C> maker) {
        this.maker = maker;
    }

    /** The entry of that key, made if it is new. */
    public C get(ConnectionKey key) {
        C c = connections.get(key);
        if (c == null) {
            if (connections.size() > LIMIT) {
                connections.clear();
            }
            c = maker.get();
            connections.put(key, c);
        }
        return c;
    }

    /** The entry of that key, or null. */
    public @Nullable C find(ConnectionKey key) {
        return connections.get(key);
    }

    /** Forgets an entry. */
    public void remove(ConnectionKey key) {
        connections.remove(key);
    }

    /** All entries with their keys, in order of creation. */
    public Set<Map.Entry<ConnectionKey, C>> entries() {
        return connections.entrySet();
    }

    /** All entries in order of creation. */
    public Collection<C> all() {
        return connections.values();
    }
}
