package lockstep.codegen;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The data of query-qmp-schema: one JSON object per command, event and type they reach, in QEMU's
 * order. The whole schema is walked and what conditions exclude is left out at the end, so that the
 * numbers which mask the names of types do not depend on the conditions.
 */
public final class Introspection {
    private static final TypeRef INT = new TypeRef("int", false);

    private final Schema schema;
    private final Set<String> defined;
    private final boolean masked;
    private final List<String> entries = new ArrayList<>();
    private final Map<String, String> names = new LinkedHashMap<>();
    private final Set<String> used = new HashSet<>();
    private final List<Runnable> pending = new ArrayList<>();

    private Introspection(Schema schema, Set<String> defined, boolean masked) {
        this.schema = schema;
        this.defined = defined;
        this.masked = masked;
    }

    /**
     * The SchemaInfo objects, each as JSON text with its members in alphabetic order.
     *
     * @param schema a schema from which nothing was left out
     * @param defined the symbols that conditions find defined
     * @param masked whether names of types are numbers, so that clients do not rely on them
     */
    public static List<String> entries(Schema schema, Set<String> defined, boolean masked) {
        Introspection introspection = new Introspection(schema, defined, masked);
        schema.definitions().forEach(introspection::root);
        // Describing a type may add further types.
        for (int i = 0; i < introspection.pending.size(); i++) {
            introspection.pending.get(i).run();
        }
        return introspection.entries;
    }

    private static String quote(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    private static String object(Map<String, String> members) {
        return new TreeMap<>(members)
                .entrySet().stream()
                        .map(e -> quote(e.getKey()) + ": " + e.getValue())
                        .collect(Collectors.joining(", ", "{", "}"));
    }

    /** A list of those elements whose condition holds; all are written, for the names they use. */
    private <T> String list(
            List<T> elements, Function<T, Condition> condition, Function<T, String> text) {
        List<String> kept = new ArrayList<>();
        for (T element : elements) {
            String written = text.apply(element);
            if (condition.apply(element).holds(defined)) {
                kept.add(written);
            }
        }
        return "[" + String.join(", ", kept) + "]";
    }

    private void addFeatures(List<Feature> features, Map<String, String> members) {
        if (!features.isEmpty()) {
            members.put("features", list(features, Feature::condition, f -> quote(f.name())));
        }
    }

    private void add(
            String name,
            String meta,
            Condition condition,
            List<Feature> features,
            Map<String, String> rest) {
        Map<String, String> members = new TreeMap<>(rest);
        members.put("name", quote(name));
        members.put("meta-type", quote(meta));
        addFeatures(features, members);
        if (condition.holds(defined)) {
            entries.add(object(members));
        }
    }

    private void root(Definition definition) {
        Definition.Head head = definition.head();
        Map<String, String> members = new TreeMap<>();
        if (definition instanceof Definition.Command command) {
            members.put("arg-type", quote(arguments(head, command.arguments())));
            TypeRef returns = command.returns();
            members.put("ret-type", quote(returns == null ? empty() : use(returns)));
            if (command.allowOob()) {
                members.put("allow-oob", "true");
            }
            add(head.name(), "command", head.condition(), head.features(), members);
        } else if (definition instanceof Definition.Event event) {
            members.put("arg-type", quote(arguments(head, event.arguments())));
            add(head.name(), "event", head.condition(), head.features(), members);
        }
    }

    private String name(String name) {
        return masked ? names.computeIfAbsent(name, n -> String.valueOf(names.size())) : name;
    }

    private void describeOnce(String type, Runnable description) {
        if (used.add(type)) {
            pending.add(description);
        }
    }

    private String object(String name, Condition condition, List<Member> members) {
        describeOnce(
                name,
                () -> {
                    Map<String, String> rest = Map.of("members", members(members));
                    add(name(name), "object", condition, List.of(), rest);
                });
        return name(name);
    }

    private String empty() {
        return object("q_empty", Condition.ALWAYS, List.of());
    }

    private String arguments(Definition.Head head, Definition.Arguments arguments) {
        String type = arguments.type();
        if (type != null) {
            return use(new TypeRef(type, false));
        }
        return arguments.members().isEmpty()
                ? empty()
                : object("q_obj_" + head.name() + "-arg", head.condition(), arguments.members());
    }

    private String use(TypeRef ref) {
        Optional<BuiltinType> builtin = Schema.builtin(ref.name());
        boolean integer = builtin.isPresent() && builtin.get().jsonType().equals("int");
        TypeRef element = integer ? INT : new TypeRef(ref.name(), false);
        if (ref.array()) {
            describeOnce(
                    "[" + element.name() + "]",
                    () -> {
                        String name = use(element);
                        Condition condition =
                                builtin.isPresent()
                                        ? Condition.ALWAYS
                                        : schema.type(ref.name()).head().condition();
                        Map<String, String> rest = Map.of("element-type", quote(name));
                        add("[" + name + "]", "array", condition, List.of(), rest);
                    });
            return "[" + use(element) + "]";
        }
        if (builtin.isPresent()) {
            Map<String, String> rest = Map.of("json-type", quote(builtin.get().jsonType()));
            describeOnce(
                    element.name(),
                    () -> add(element.name(), "builtin", Condition.ALWAYS, List.of(), rest));
            return element.name();
        }
        describeOnce(ref.name(), () -> type(schema.type(ref.name())));
        return name(ref.name());
    }

    private void type(Definition.Type type) {
        Map<String, String> members = new TreeMap<>();
        String meta;
        if (type instanceof Definition.EnumType enumeration) {
            meta = "enum";
            List<EnumValue> values = enumeration.values();
            members.put("members", list(values, EnumValue::condition, this::value));
            members.put("values", list(values, EnumValue::condition, v -> quote(v.name())));
        } else if (type instanceof Definition.AlternateType alternate) {
            meta = "alternate";
            members.put(
                    "members",
                    list(
                            alternate.branches(),
                            Branch::condition,
                            b -> object(Map.of("type", quote(use(b.type()))))));
        } else {
            meta = "object";
            members.put("members", members(schema.commonMembers(type.name())));
            if (type instanceof Definition.UnionType union) {
                members.put("tag", quote(union.discriminator()));
                members.put("variants", variants(union));
            }
        }
        Definition.Head head = type.head();
        add(name(head.name()), meta, head.condition(), head.features(), members);
    }

    private String value(EnumValue value) {
        Map<String, String> members = new TreeMap<>(Map.of("name", quote(value.name())));
        addFeatures(value.features(), members);
        return object(members);
    }

    private String members(List<Member> members) {
        return list(members, Member::condition, this::member);
    }

    private String member(Member member) {
        Map<String, String> members = new TreeMap<>();
        members.put("name", quote(member.name()));
        members.put("type", quote(use(member.type())));
        if (member.optional()) {
            members.put("default", "null");
        }
        addFeatures(member.features(), members);
        return object(members);
    }

    private String variants(Definition.UnionType union) {
        // Values without a branch come last and have the empty object.
        List<Branch> branches = new ArrayList<>(union.branches());
        Set<String> given = branches.stream().map(Branch::name).collect(Collectors.toSet());
        for (EnumValue value : schema.discriminatorType(union).values()) {
            if (!given.contains(value.name())) {
                branches.add(
                        new Branch(value.name(), new TypeRef("q_empty", false), value.condition()));
            }
        }
        return list(branches, Branch::condition, this::variant);
    }

    private String variant(Branch branch) {
        String type = branch.type().name().equals("q_empty") ? empty() : use(branch.type());
        return object(Map.of("case", quote(branch.name()), "type", quote(type)));
    }
}
