package lockstep.runtime.object;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.Supplier;

/**
 * The tree behind qom-list and qom-get: {@code /objects}, {@code /chardevs}, {@code /machine/peripheral},
 * {@code /machine/peripheral-anon}, {@code /machine/unattached}, {@code /backend}. Used under the machine
 * lock.
 */
public interface ObjectTree {
    /** One place in the tree. */
    interface Node {
        /** QEMU's type name, such as {@code container} or {@code e1000}. */
        String type();

        /** The path from the root. */
        String path();

        /** The children, in the order in which they were added. */
        List<Node> children();

        /** The last part of the path. */
        String name();

        /** The properties, without {@code type}. */
        List<QomProperty> properties();

        /** One of the properties, or null when there is none of that name. */
        default @Nullable QomProperty property(String name) {
            for (QomProperty p : properties()) {
                if (p.name().equals(name)) {
                    return p;
                }
            }
            return null;
        }

        /** What {@code info qtree} says of it beside its properties, in lines. */
        String notes();

        /** Greater than those of all nodes that were added before it. */
        long age();
    }

    /** The root, {@code /}. */
    Node root();

    /** The node at an absolute path, or at the end of a partial one that is unique; null if none is. */
    @Nullable Node find(String path);

    /**
     * Adds a node; missing containers on the way are made.
     *
     * @throws IllegalArgumentException {@code attempt to add duplicate property 'x' to object (type
     *     'container')}
     */
    default Node add(String path, String type, List<QomProperty> properties) {
        return add(path, type, properties, () -> "");
    }

    /** Adds a node that has {@linkplain Node#notes() notes}. */
    Node add(String path, String type, List<QomProperty> properties, Supplier<String> notes);

    /** The first free {@code /machine/unattached/device[N]}. */
    String nextUnattached();

    /** Removes a node with all below it; nothing happens if it is not there. */
    void remove(String path);

    /** The property that says which bus a device sits on, by the name of the bus; empty: on none. */
    default QomProperty busLink(String bus) {
        return QomProperty.of(
                "parent_bus",
                "link<bus>",
                () -> {
                    Node node = find(bus);
                    return node == null ? "" : node.path();
                });
    }

    /** The user's object of that id, or null. */
    @Nullable UserObject object(String id);

    /** The user's object of that id if it is of that class. */
    <T extends UserObject> @Nullable T object(String id, Class<T> type);

    /** The ids of the user's objects of a class, in order of creation. */
    List<String> ids(Class<? extends UserObject> type);

    /** Removes a user's object as object-del does, without asking it. For owners that take it along. */
    void removeObject(String id);
}
