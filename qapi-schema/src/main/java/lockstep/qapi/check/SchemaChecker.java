package lockstep.qapi.check;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.ParsedSchema;
import lockstep.qapi.syntax.Pragmas;
import lockstep.qapi.syntax.SchemaError;
import lockstep.qapi.syntax.SchemaErrorException;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Checks a parsed schema: each expression by itself, then all definitions together. */
public final class SchemaChecker {
    /** JSON types that tell the alternatives of an alternate apart. */
    private enum Shape {
        STRING,
        NUMBER,
        BOOLEAN,
        NULL,
        OBJECT,
        ARRAY
    }

    private final ParsedSchema parsed;
    private final boolean firstErrorOnly;
    private final List<SchemaError> errors = new ArrayList<>();
    private final Map<String, Definition> definitions = new LinkedHashMap<>();
    private final Set<String> sound = new HashSet<>();

    /** Takes a schema that parsed without errors. */
    public SchemaChecker(ParsedSchema parsed, boolean firstErrorOnly) {
        this.parsed = parsed;
        this.firstErrorOnly = firstErrorOnly;
        definitions.put(Schema.QTYPE.name(), Schema.QTYPE);
    }

    /** The errors found by {@link #check()}. */
    public List<SchemaError> errors() {
        return List.copyOf(errors);
    }

    /** Checks; the result is meaningful only when {@link #errors()} is empty. */
    public Schema check() {
        List<Schema.Module> modules = new ArrayList<>();
        try {
            for (ParsedSchema.Module module : parsed.modules()) {
                modules.add(module(module));
            }
            if (errors.isEmpty()) {
                for (Schema.Module module : modules) {
                    for (Definition definition : module.definitions()) {
                        guard(() -> resolve(definition));
                    }
                }
            }
        } catch (SchemaErrorException e) {
            errors.add(e.error());
        }
        return new Schema(modules, parsed.docs());
    }

    private void guard(Runnable step) {
        try {
            step.run();
        } catch (SchemaErrorException e) {
            if (firstErrorOnly) {
                throw e;
            }
            errors.add(e.error());
        }
    }

    private Schema.Module module(ParsedSchema.Module module) {
        List<String> includes = new ArrayList<>();
        List<Definition> own = new ArrayList<>();
        for (ParsedSchema.Item item : module.items()) {
            if (item instanceof ParsedSchema.Include include) {
                includes.add(relative(include.file()));
            } else if (item instanceof ParsedSchema.Definition definition) {
                guard(
                        () -> {
                            Definition made =
                                    new ExpressionChecker(parsed.pragmas(), definition.expression())
                                            .check();
                            define(made);
                            own.add(made);
                        });
            }
        }
        return new Schema.Module(relative(module.file()), module.path(), includes, own);
    }

    private String relative(String file) {
        Path main = Path.of(parsed.modules().get(0).file()).toAbsolutePath().normalize();
        Path directory = main.getParent();
        Path target = Path.of(file).toAbsolutePath().normalize();
        return directory == null ? file : directory.relativize(target).toString();
    }

    private void define(Definition made) {
        SourceInfo info = made.head().info();
        if (Schema.builtin(made.name()).isPresent()) {
            throw new SchemaErrorException(
                    info, "built-in type '" + made.name() + "' is already defined");
        }
        Definition before = definitions.putIfAbsent(made.name(), made);
        if (before != null) {
            if (before.head().info().line() == 0) {
                throw new SchemaErrorException(info, describe(before) + " is already defined");
            }
            throw new SchemaErrorException(
                    info,
                    "'"
                            + made.name()
                            + "' is already defined\n"
                            + before.head().info()
                            + ": previous definition");
        }
    }

    private static String describe(Definition definition) {
        return definition.meta() + " type '" + definition.name() + "'";
    }

    private String describe(String type) {
        if (Schema.builtin(type).isPresent()) {
            return "built-in type '" + type + "'";
        }
        Definition definition = definitions.get(type);
        return definition == null ? "type '" + type + "'" : describe(definition);
    }

    private String describe(TypeRef type) {
        return type.array() ? "array type ['" + type.name() + "']" : describe(type.name());
    }

    private void resolve(Definition definition) {
        SourceInfo info = definition.head().info();
        clash(info, definition.head().features());
        if (definition instanceof Definition.EnumType type) {
            enumeration(type);
        } else if (definition instanceof Definition.StructType type) {
            members(info, type.members());
            struct(type, new HashSet<>());
        } else if (definition instanceof Definition.UnionType type) {
            members(info, type.baseMembers());
            union(type);
        } else if (definition instanceof Definition.AlternateType type) {
            alternate(type);
        } else if (definition instanceof Definition.Command command) {
            arguments(info, "command", command.arguments());
            returns(command);
        } else if (definition instanceof Definition.Event event) {
            arguments(info, "event", event.arguments());
        }
        documentation(definition);
    }

    private static void clash(SourceInfo info, List<Feature> features) {
        Set<String> seen = new HashSet<>();
        for (Feature feature : features) {
            if (!seen.add(Names.identifier(feature.name()))) {
                throw new SchemaErrorException(
                        info,
                        "feature '"
                                + feature.name()
                                + "' collides with feature '"
                                + feature.name()
                                + "'");
            }
        }
    }

    private void enumeration(Definition.EnumType type) {
        Map<String, String> seen = new HashMap<>();
        for (EnumValue value : type.values()) {
            String other = seen.putIfAbsent(Names.identifier(value.name()), value.name());
            if (other != null) {
                throw new SchemaErrorException(
                        type.head().info(),
                        "value '" + value.name() + "' collides with value '" + other + "'");
            }
        }
    }

    private void require(SourceInfo info, String source, TypeRef type) {
        if (Schema.builtin(type.name()).isEmpty()
                && !(definitions.get(type.name()) instanceof Definition.Type)) {
            throw new SchemaErrorException(
                    info, source + " uses unknown type '" + type.name() + "'");
        }
    }

    private void members(SourceInfo info, List<Member> members) {
        Map<String, String> seen = new HashMap<>();
        for (Member member : members) {
            String source = "member '" + member.name() + "'";
            String other = seen.putIfAbsent(Names.identifier(member.name()), member.name());
            if (other != null) {
                throw new SchemaErrorException(
                        info, source + " collides with member '" + other + "'");
            }
            clash(info, member.features());
            require(info, source, member.type());
        }
    }

    /** Checks bases and gives all members, base first. */
    private List<Member> struct(Definition.StructType type, Set<String> below) {
        SourceInfo info = type.head().info();
        if (!below.add(type.name())) {
            throw new SchemaErrorException(info, "object " + type.name() + " contains itself");
        }
        List<Member> all = new ArrayList<>(base(info, type.base(), below));
        for (Member member : type.members()) {
            add(info, all, member, "member", type.base());
        }
        containment(type.name(), below, all, info);
        below.remove(type.name());
        return all;
    }

    /** A struct that holds itself in mandatory members can never be written down. */
    private void containment(
            String owner, Set<String> below, List<Member> members, SourceInfo info) {
        if (!sound.add(owner)) {
            return;
        }
        for (Member member : members) {
            if (!member.optional()
                    && !member.type().array()
                    && definitions.get(member.type().name())
                            instanceof Definition.StructType inner) {
                if (below.contains(inner.name())) {
                    throw new SchemaErrorException(
                            info, "object " + inner.name() + " contains itself");
                }
                struct(inner, below);
            }
        }
    }

    private void add(
            SourceInfo info, List<Member> all, Member member, String word, @Nullable String base) {
        for (Member other : all) {
            if (Names.identifier(other.name()).equals(Names.identifier(member.name()))) {
                throw new SchemaErrorException(
                        info,
                        word
                                + " '"
                                + member.name()
                                + "' collides with member '"
                                + other.name()
                                + "'"
                                + (base == null ? "" : " of type '" + base + "'"));
            }
        }
        all.add(member);
    }

    private List<Member> base(SourceInfo info, @Nullable String base, Set<String> below) {
        if (base == null) {
            return List.of();
        }
        require(info, "'base'", new TypeRef(base, false));
        if (!(definitions.get(base) instanceof Definition.StructType struct)) {
            throw new SchemaErrorException(
                    info, "'base' requires a struct type, " + describe(base) + " isn't");
        }
        return struct(struct, below);
    }

    private void union(Definition.UnionType type) {
        SourceInfo info = type.head().info();
        List<Member> common = new ArrayList<>(base(info, type.base(), new HashSet<>()));
        common.addAll(type.baseMembers());
        String baseText = type.base() == null ? "'base'" : "base type '" + type.base() + "'";
        Member tag = null;
        for (Member member : common) {
            if (member.name().equals(type.discriminator())) {
                tag = member;
            }
        }
        if (tag == null) {
            throw new SchemaErrorException(
                    info,
                    "discriminator '" + type.discriminator() + "' is not a member of " + baseText);
        }
        String who = "discriminator member '" + tag.name() + "' of " + baseText;
        if (tag.type().array()
                || !(definitions.get(tag.type().name())
                        instanceof Definition.EnumType enumeration)) {
            throw new SchemaErrorException(info, who + " must be of enum type");
        }
        if (tag.optional()) {
            throw new SchemaErrorException(info, who + " must not be optional");
        }
        if (!tag.condition().equals(Condition.ALWAYS)) {
            throw new SchemaErrorException(info, who + " must not be conditional");
        }
        if (type.branches().isEmpty()) {
            throw new SchemaErrorException(info, "union has no branches");
        }
        for (Branch branch : type.branches()) {
            String name = "branch '" + branch.name() + "'";
            if (enumeration.values().stream().noneMatch(v -> v.name().equals(branch.name()))) {
                throw new SchemaErrorException(
                        info, name + " is not a value of " + describe(enumeration));
            }
            require(info, name, branch.type());
            List<Member> inner = objectMembers(branch.type().name(), new HashSet<>());
            if (inner == null) {
                throw new SchemaErrorException(
                        info, name + " cannot use " + describe(branch.type()));
            }
            List<Member> all = new ArrayList<>(common);
            for (Member member : inner) {
                add(info, all, member, "member", branch.type().name());
            }
        }
    }

    private @Nullable List<Member> objectMembers(String name, Set<String> below) {
        Definition definition = definitions.get(name);
        if (definition instanceof Definition.StructType struct) {
            return struct(struct, below);
        }
        if (definition instanceof Definition.UnionType union) {
            List<Member> all = new ArrayList<>(base(union.head().info(), union.base(), below));
            all.addAll(union.baseMembers());
            return all;
        }
        return null;
    }

    private Set<Shape> shapes(TypeRef type) {
        if (type.array()) {
            return EnumSet.of(Shape.ARRAY);
        }
        BuiltinType builtin = Schema.builtin(type.name()).orElse(null);
        if (builtin != null) {
            return switch (builtin) {
                case STR -> EnumSet.of(Shape.STRING);
                case BOOL -> EnumSet.of(Shape.BOOLEAN);
                case NULL -> EnumSet.of(Shape.NULL);
                case ANY -> EnumSet.noneOf(Shape.class);
                default -> EnumSet.of(Shape.NUMBER);
            };
        }
        Definition definition = definitions.get(type.name());
        if (definition instanceof Definition.EnumType) {
            return EnumSet.of(Shape.STRING);
        }
        return definition instanceof Definition.AlternateType
                ? EnumSet.noneOf(Shape.class)
                : EnumSet.of(Shape.OBJECT);
    }

    private void alternate(Definition.AlternateType type) {
        SourceInfo info = type.head().info();
        Map<Shape, String> taken = new HashMap<>();
        for (Branch branch : type.branches()) {
            String name = "alternative '" + branch.name() + "'";
            require(info, name, branch.type());
            Set<Shape> shapes = shapes(branch.type());
            if (shapes.isEmpty()) {
                throw new SchemaErrorException(
                        info, name + " cannot use " + describe(branch.type()));
            }
            Set<Shape> conflicts = EnumSet.copyOf(shapes);
            // Key-value text has only strings, so a string alternative may hide others.
            if (shapes.contains(Shape.STRING)) {
                if (!(definitions.get(branch.type().name())
                        instanceof Definition.EnumType enumeration)) {
                    conflicts.add(Shape.NUMBER);
                    conflicts.add(Shape.BOOLEAN);
                } else {
                    for (EnumValue value : enumeration.values()) {
                        if (value.name().equals("on") || value.name().equals("off")) {
                            conflicts.add(Shape.BOOLEAN);
                        }
                        if (value.name().matches("[-+0-9.].*")) {
                            conflicts.add(Shape.NUMBER);
                        }
                    }
                }
            }
            for (Shape shape : conflicts) {
                String other = taken.get(shape);
                if (other != null) {
                    throw new SchemaErrorException(
                            info, name + " can't be distinguished from '" + other + "'");
                }
                taken.put(shape, branch.name());
            }
        }
    }

    private void arguments(SourceInfo info, String meta, Definition.Arguments arguments) {
        members(info, arguments.members());
        String name = arguments.type();
        if (name == null) {
            return;
        }
        require(info, meta + "'s 'data'", new TypeRef(name, false));
        List<Member> inner = objectMembers(name, new HashSet<>());
        if (inner == null) {
            throw new SchemaErrorException(info, meta + "'s 'data' cannot take " + describe(name));
        }
        if (!arguments.boxed() && definitions.get(name) instanceof Definition.UnionType) {
            throw new SchemaErrorException(
                    info,
                    meta + "'s 'data' can take " + describe(name) + " only with 'boxed': true");
        }
        if (!arguments.boxed()
                && inner.stream().anyMatch(m -> !m.condition().equals(Condition.ALWAYS))) {
            throw new SchemaErrorException(
                    info, "conditional " + meta + " arguments require 'boxed': true");
        }
    }

    private void returns(Definition.Command command) {
        TypeRef type = command.returns();
        if (type == null) {
            return;
        }
        SourceInfo info = command.head().info();
        require(info, "command's 'returns'", type);
        if (!parsed.pragmas().commandReturns.contains(command.name())
                && objectMembers(type.name(), new HashSet<>()) == null) {
            throw new SchemaErrorException(
                    info, "command's 'returns' cannot take " + describe(type));
        }
    }

    private void documentation(Definition definition) {
        DocComment doc = definition.head().doc();
        if (doc == null) {
            return;
        }
        Set<String> members = new HashSet<>();
        Set<String> features = new HashSet<>();
        own(definition, members, features);
        Pragmas pragmas = parsed.pragmas();
        for (DocComment.Section section : doc.sections()) {
            if (section.kind() == DocComment.Kind.MEMBER && !members.contains(section.name())) {
                throw new SchemaErrorException(
                        section.info().within(definition.meta(), definition.name()),
                        "documented member '" + section.name() + "' does not exist");
            }
            if (section.kind() == DocComment.Kind.FEATURE && !features.contains(section.name())) {
                throw new SchemaErrorException(
                        section.info().within(definition.meta(), definition.name()),
                        "documented feature '" + section.name() + "' does not exist");
            }
            if (section.kind() == DocComment.Kind.RETURNS
                    && !(definition instanceof Definition.Command command
                            && command.returns() != null)) {
                throw new SchemaErrorException(
                        section.info(), "'Returns' section, but command doesn't return anything");
            }
            if (section.text().isBlank()) {
                throw new SchemaErrorException(
                        section.info(), "text required after '" + tag(section) + "'");
            }
        }
        for (String feature : features) {
            if (doc.find(DocComment.Kind.FEATURE, feature) == null) {
                throw new SchemaErrorException(
                        doc.info(), "feature '" + feature + "' lacks documentation");
            }
        }
        if (pragmas.docRequired && !pragmas.documentation.contains(definition.name())) {
            for (String member : members) {
                if (doc.find(DocComment.Kind.MEMBER, member) == null) {
                    throw new SchemaErrorException(
                            doc.info(),
                            "member '"
                                    + member
                                    + "' of '"
                                    + definition.name()
                                    + "' is not documented");
                }
            }
        }
    }

    private static String tag(DocComment.Section section) {
        return switch (section.kind()) {
            case MEMBER, FEATURE -> "@" + section.name() + ":";
            case RETURNS -> "Returns:";
            case ERRORS -> "Errors:";
            case SINCE -> "Since:";
            case TODO -> "TODO:";
            case PLAIN -> "##";
        };
    }

    private static void own(Definition definition, Set<String> members, Set<String> features) {
        definition.head().features().forEach(f -> features.add(f.name()));
        List<Member> list = List.of();
        if (definition instanceof Definition.EnumType type) {
            type.values()
                    .forEach(
                            v -> {
                                members.add(v.name());
                                v.features().forEach(f -> features.add(f.name()));
                            });
        } else if (definition instanceof Definition.StructType type) {
            list = type.members();
        } else if (definition instanceof Definition.UnionType type) {
            list = type.baseMembers();
        } else if (definition instanceof Definition.AlternateType type) {
            type.branches().forEach(b -> members.add(b.name()));
        } else if (definition instanceof Definition.Command command) {
            list = command.arguments().members();
        } else if (definition instanceof Definition.Event event) {
            list = event.arguments().members();
        }
        for (Member member : list) {
            members.add(member.name());
            member.features().forEach(f -> features.add(f.name()));
        }
    }
}
