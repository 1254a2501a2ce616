package lockstep.runtime.process;

import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;
import lockstep.runtime.spi.ObjectFactory;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** The object tree of one process and the user's objects in it. */
public final class ObjectRegistry implements ObjectTree {
    private static final String OBJECTS = "/objects/";

    private static final class Entry implements Node {
        private final String name;
        private final @Nullable Entry parent;
        private final String type;
        private final List<QomProperty> properties;
        private final Supplier<String> notes;
        private final long age;
        private final Map<String, Entry> children = new LinkedHashMap<>();

        Entry(
                String name,
                @Nullable Entry parent,
                String type,
                List<QomProperty> properties,
                Supplier<String> notes,
                long age) {
            this.name = name;
            this.parent = parent;
            this.type = type;
            this.properties = properties;
            this.notes = notes;
            this.age = age;
        }

        @Override
        public String type() {
            return type;
        }

        @Override
        public String path() {
            Entry p = parent;
            if (p == null) {
                return "/";
            }
            return p.parent == null ? "/" + name : p.path() + "/" + name;
        }

        @Override
        public List<Node> children() {
            return List.copyOf(children.values());
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public List<QomProperty> properties() {
            return properties;
        }

        @Override
        public String notes() {
            return notes.get();
        }

        @Override
        public long age() {
            return age;
        }
    }

    private record Made(String type, UserObject object) {}

    private final Vmm vmm;
    private final Entry root = container("/", null);
    private long added;

    private record Offer<O extends ObjectOptions>(
            QomType<?> type, Class<O> options, ObjectFactory<O> factory) {
        UserObject create(ObjectOptions given, Vmm vmm) throws QmpException {
            return factory.create(options.cast(given), vmm);
        }
    }

    private final Map<String, Offer<?>> offers = new LinkedHashMap<>();
    private final Map<String, Made> objects = new LinkedHashMap<>();

    /** With the containers that every process has. */
    public ObjectRegistry(Vmm vmm) {
        this.vmm = vmm;
        for (String path : List.of("/objects", "/chardevs", "/backend")) {
            add(path, "container", List.of());
        }
    }

    /** Offers a type of object. */
    public <O extends ObjectOptions> void type(
            QomType<?> type, Class<O> options, ObjectFactory<O> factory) {
        if (offers.putIfAbsent(type.name(), new Offer<>(type, options, factory)) != null) {
            throw new IllegalArgumentException("object type " + type.name() + " exists already");
        }
    }

    /** The names of all types. */
    public List<String> types() {
        return List.copyOf(offers.keySet());
    }

    /** All types. */
    public List<QomType<?>> declarations() {
        return offers.values().stream().<QomType<?>>map(Offer::type).toList();
    }

    /** Makes a user's object: {@code -object}, object-add. */
    public void create(ObjectOptions options) throws QmpException {
        String type = options.qomType().wireName();
        Offer<?> offer = offers.get(type);
        if (offer == null) {
            throw new QmpException("object type '" + type + "' is not supported by this build");
        }
        String id = options.id();
        if (objects.containsKey(id)) {
            throw new QmpException(duplicate(id));
        }
        UserObject object = offer.create(options, vmm);
        objects.put(id, new Made(type, object));
        add(OBJECTS + id, type, object.properties());
    }

    /** Removes a user's object: object-del. */
    public void delete(String id) throws QmpException {
        Made made = objects.get(id);
        if (made == null) {
            throw new QmpException("object '" + id + "' not found");
        }
        if (!made.object().removable()) {
            throw new QmpException("object '" + id + "' is in use, can not be deleted");
        }
        removeObject(id);
    }

    @Override
    public void removeObject(String id) {
        Made made = objects.remove(id);
        if (made != null) {
            remove(OBJECTS + id);
            made.object().close();
        }
    }

    /** Removes all objects, the newest first: at the end of the process. */
    public void closeAll() {
        for (String id : List.copyOf(objects.keySet()).reversed()) {
            removeObject(id);
        }
    }

    private static String duplicate(String name) {
        return "attempt to add duplicate property '" + name + "' to object (type 'container')";
    }

    @Override
    public Node root() {
        return root;
    }

    @Override
    public @Nullable Node find(String path) {
        if (path.isEmpty()) {
            return null;
        }
        String[] parts = path.split("/", -1);
        if (path.startsWith("/")) {
            return walk(root, parts, 1);
        }
        return partial(root, parts);
    }

    private static @Nullable Entry walk(Entry from, String[] parts, int first) {
        Entry at = from;
        for (int i = first; i < parts.length; i++) {
            if (parts[i].isEmpty()) {
                continue;
            }
            Entry next = at.children.get(parts[i]);
            if (next == null) {
                return null;
            }
            at = next;
        }
        return at;
    }

    /** The only place below {@code from} where the whole partial path leads somewhere. */
    private static @Nullable Entry partial(Entry from, String[] parts) {
        Entry found = walk(from, parts, 0);
        for (Entry child : from.children.values()) {
            Entry deeper = partial(child, parts);
            if (deeper != null) {
                if (found != null && found != deeper) {
                    return null;
                }
                found = deeper;
            }
        }
        return found;
    }

    @Override
    public Node add(
            String path, String type, List<QomProperty> properties, Supplier<String> notes) {
        String[] parts = path.split("/", -1);
        Entry at = root;
        for (int i = 1; i < parts.length - 1; i++) {
            Entry parent = at;
            at = at.children.computeIfAbsent(parts[i], name -> container(name, parent));
        }
        String name = parts[parts.length - 1];
        if (at.children.containsKey(name)) {
            throw new IllegalArgumentException(duplicate(name));
        }
        Entry made = new Entry(name, at, type, List.copyOf(properties), notes, ++added);
        at.children.put(name, made);
        return made;
    }

    private static Entry container(String name, @Nullable Entry parent) {
        return new Entry(name, parent, "container", List.of(), () -> "", 0);
    }

    @Override
    public String nextUnattached() {
        for (int i = 0; ; i++) {
            String path = "/machine/unattached/device[" + i + "]";
            if (find(path) == null) {
                return path;
            }
        }
    }

    @Override
    public void remove(String path) {
        if (find(path) instanceof Entry e && e.parent != null) {
            e.parent.children.remove(e.name);
        }
    }

    @Override
    public @Nullable UserObject object(String id) {
        Made made = objects.get(id);
        return made == null ? null : made.object();
    }

    @Override
    public <T extends UserObject> @Nullable T object(String id, Class<T> type) {
        UserObject object = object(id);
        return type.isInstance(object) ? type.cast(object) : null;
    }

    @Override
    public List<String> ids(Class<? extends UserObject> type) {
        List<String> ids = new ArrayList<>();
        objects.forEach(
                (id, made) -> {
                    if (type.isInstance(made.object())) {
                        ids.add(id);
                    }
                });
        return ids;
    }

    /** All types and how many objects there are, for messages. */
    @Override
    public String toString() {
        return objects.size() + " objects";
    }
}
