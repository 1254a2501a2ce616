package lockstep.runtime.object;

import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * A type of objects in the tree: its name, what it specialises, and its properties, each described once for
 * qom-list-properties, qom-list, qom-get and qom-set. Immutable.
 *
 * @param <T> the objects
 */
public final class QomType<T> {
    /** Changes a property of an object. */
    @FunctionalInterface
    public interface Setter<T, V> {
        /** Takes a value of the right kind; the exception's message is what the user reads. */
        void set(T object, V value) throws QmpException;
    }

    private record Declared<T>(
            ObjectPropertyInfo info,
            Function<T, Object> getter,
            @Nullable Setter<T, JsonValue> setter) {
        QomProperty of(T object) {
            Setter<T, JsonValue> set = setter;
            return new QomProperty(
                    info.name(),
                    info.type(),
                    () -> getter.apply(object),
                    set == null ? null : value -> set.set(object, value));
        }
    }

    private final String name;
    private final @Nullable QomType<? super T> parent;
    private final boolean isAbstract;
    private final List<Declared<T>> declared;

    private QomType(
            String name,
            @Nullable QomType<? super T> parent,
            boolean isAbstract,
            List<Declared<T>> declared) {
        this.name = name;
        this.parent = parent;
        this.isAbstract = isAbstract;
        this.declared = declared;
    }

    /** A type of which there are no objects, below {@code object}. */
    public static <T> QomType<T> abstraction(String name) {
        return new QomType<>(name, null, true, List.of());
    }

    /** A type below {@code object}. */
    public static <T> QomType<T> of(String name) {
        return new QomType<>(name, null, false, List.of());
    }

    /** A type below another one, whose properties it has too. */
    public static <T> QomType<T> of(String name, QomType<? super T> parent) {
        return new QomType<>(name, parent, false, List.of());
    }

    /** The type with one more property, which qom-set changes; one that is not, if there is no setter. */
    public <V> QomType<T> with(
            String property,
            QomKind<V> kind,
            @Nullable String description,
            Function<T, V> getter,
            @Nullable Setter<T, V> setter) {
        return and(
                property,
                kind,
                description,
                getter,
                setter == null ? null : (o, json) -> setter.set(o, kind.read(property, json)));
    }

    /** The type with one more property, of which qom-set says, whatever the value, that it stays. */
    public <V> QomType<T> fixed(
            String property,
            QomKind<V> kind,
            @Nullable String description,
            Function<T, V> getter,
            Function<T, String> refusal) {
        return and(
                property,
                kind,
                description,
                getter,
                (o, json) -> {
                    throw new QmpException(refusal.apply(o));
                });
    }

    private <V> QomType<T> and(
            String property,
            QomKind<V> kind,
            @Nullable String description,
            Function<T, V> getter,
            @Nullable Setter<T, JsonValue> setter) {
        List<Declared<T>> more = new ArrayList<>(declared);
        more.add(
                new Declared<>(
                        new ObjectPropertyInfo(property, kind.name(), description, null),
                        object -> kind.shown().apply(getter.apply(object)),
                        setter));
        return new QomType<>(name, parent, isAbstract, List.copyOf(more));
    }

    /** Its name, such as {@code filter-mirror}. */
    public String name() {
        return name;
    }

    /** The type that it specialises, or null for {@code object}. */
    public @Nullable QomType<?> parent() {
        return parent;
    }

    /** Whether there are no objects of just this type. */
    public boolean isAbstract() {
        return isAbstract;
    }

    /** The properties of all objects of this type, its own first. */
    public List<ObjectPropertyInfo> describe() {
        List<ObjectPropertyInfo> all = new ArrayList<>();
        declared.forEach(d -> all.add(d.info()));
        if (parent != null) {
            all.addAll(parent.describe());
        }
        return all;
    }

    /** The properties of one object, its own type's first. */
    public List<QomProperty> properties(T object) {
        List<QomProperty> all = new ArrayList<>();
        declared.forEach(d -> all.add(d.of(object)));
        if (parent != null) {
            all.addAll(parent.properties(object));
        }
        return all;
    }
}
