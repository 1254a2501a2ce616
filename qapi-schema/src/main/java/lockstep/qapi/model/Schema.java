package lockstep.qapi.model;

import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A checked schema. All names in it resolve. */
public final class Schema {
    /** What a file of the schema consists of. */
    public sealed interface Entry permits Include, Definition {}

    /**
     * An include directive; repeated ones are kept.
     *
     * @param module name of the included file's module
     */
    public record Include(String module) implements Entry {}

    /**
     * One file of the schema.
     *
     * @param name path relative to the main file's directory
     * @param path the file
     * @param entries its includes and definitions in order
     */
    public record Module(String name, Path path, List<Entry> entries) {
        /** Its definitions in order. */
        public List<Definition> definitions() {
            return entries.stream()
                    .filter(Definition.class::isInstance)
                    .map(Definition.class::cast)
                    .toList();
        }

        /** Names of the modules it includes, in order. */
        public List<String> includes() {
            return entries.stream()
                    .filter(Include.class::isInstance)
                    .map(e -> ((Include) e).module())
                    .toList();
        }
    }

    private static final Map<String, BuiltinType> BUILTINS =
            Stream.of(BuiltinType.values())
                    .collect(Collectors.toUnmodifiableMap(BuiltinType::wireName, t -> t));

    /** What alternates branch on in C: an enumeration that every schema has, but in no module. */
    public static final Definition.EnumType QTYPE =
            new Definition.EnumType(
                    new Definition.Head(
                            "QType",
                            new SourceInfo("./builtin", 0, null, null),
                            Condition.ALWAYS,
                            List.of(),
                            null),
                    Stream.of("none", "qnull", "qnum", "qstring", "qdict", "qlist", "qbool")
                            .map(kind -> new EnumValue(kind, Condition.ALWAYS, List.of()))
                            .toList(),
                    null);

    private final List<Module> modules;
    private final List<DocComment> docs;
    private final Map<String, Definition> byName = new LinkedHashMap<>();

    /** Made by the checker. */
    public Schema(List<Module> modules, List<DocComment> docs) {
        this.modules = List.copyOf(modules);
        this.docs = List.copyOf(docs);
        byName.put(QTYPE.name(), QTYPE);
        for (Module module : modules) {
            for (Definition definition : module.definitions()) {
                byName.put(definition.name(), definition);
            }
        }
    }

    /** The files in the order of their first inclusion, the main file first. */
    public List<Module> modules() {
        return modules;
    }

    /** All documentation comments in reading order. */
    public List<DocComment> docs() {
        return docs;
    }

    /** All definitions in module order, without {@link #QTYPE}. */
    public Stream<Definition> definitions() {
        return modules.stream().flatMap(m -> m.definitions().stream());
    }

    /** The built-in type of that name, if it is one. */
    public static Optional<BuiltinType> builtin(String name) {
        return Optional.ofNullable(BUILTINS.get(name));
    }

    /** The definition of that name, if there is one; {@link #QTYPE} is always there. */
    public Optional<Definition> find(String name) {
        return Optional.ofNullable(byName.get(name));
    }

    /**
     * The type of that name.
     *
     * @throws IllegalArgumentException when it is not a defined type
     */
    public Definition.Type type(String name) {
        if (byName.get(name) instanceof Definition.Type type) {
            return type;
        }
        throw new IllegalArgumentException("'" + name + "' is not a type of this schema");
    }

    /** The members of a struct with those of its bases, or the common members of a union. */
    public List<Member> commonMembers(String name) {
        List<Member> all = new ArrayList<>();
        Definition.Type type = type(name);
        if (type instanceof Definition.StructType struct) {
            addBase(struct.base(), all);
            all.addAll(struct.members());
        } else if (type instanceof Definition.UnionType union) {
            addBase(union.base(), all);
            all.addAll(union.baseMembers());
        } else {
            throw new IllegalArgumentException("'" + name + "' is not an object type");
        }
        return all;
    }

    private void addBase(@Nullable String base, List<Member> all) {
        if (base != null) {
            all.addAll(commonMembers(base));
        }
    }

    /** The enumeration that a union's discriminator has. */
    public Definition.EnumType discriminatorType(Definition.UnionType union) {
        for (Member member : commonMembers(union.name())) {
            if (member.name().equals(union.discriminator())
                    && type(member.type().name()) instanceof Definition.EnumType type) {
                return type;
            }
        }
        throw new IllegalArgumentException("union '" + union.name() + "' has no discriminator");
    }
}
