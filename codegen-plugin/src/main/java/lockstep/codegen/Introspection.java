package lockstep.codegen;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The data of query-qmp-schema: one JSON object per command, event and type they reach. Names of
 * types are numbers in the order of their first use, since clients must not rely on them.
 */
final class Introspection {
    /** A type that was used and is to be described. */
    private interface Used {
        void describe(String name);
    }

    private final Schema schema;
    private final boolean masked;
    private final List<String> entries = new ArrayList<>();
    private final Map<String, String> names = new LinkedHashMap<>();
    private final List<Map.Entry<String, Used>> pending = new ArrayList<>();

    private Introspection(Schema schema, boolean masked) {
        this.schema = schema;
        this.masked = masked;
    }

    /** The objects, each as JSON text. */
    static List<String> entries(Schema schema, boolean masked) {
        Introspection introspection = new Introspection(schema, masked);
        schema.definitions().forEach(introspection::root);
        for (int i = 0; i < introspection.pending.size(); i++) {
            Map.Entry<String, Used> used = introspection.pending.get(i);
            used.getValue().describe(used.getKey());
        }
        return introspection.entries;
    }

    private static String quote(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    private void add(String name, String meta, List<Feature> features, String rest) {
        entries.add(
                "{\"name\": "
                        + quote(name)
                        + ", \"meta-type\": "
                        + quote(meta)
                        + rest
                        + features(features)
                        + "}");
    }

    private static String features(List<Feature> features) {
        return features.isEmpty()
                ? ""
                : ", \"features\": "
                        + features.stream()
                                .map(f -> quote(f.name()))
                                .collect(Collectors.joining(", ", "[", "]"));
    }

    private void root(Definition definition) {
        if (definition instanceof Definition.Command command) {
            String argument = arguments(command.arguments(), "q_obj_" + command.name() + "-arg");
            TypeRef returns = command.returns();
            String result = returns == null ? empty() : use(returns);
            add(
                    command.name(),
                    "command",
                    command.head().features(),
                    ", \"arg-type\": "
                            + quote(argument)
                            + ", \"ret-type\": "
                            + quote(result)
                            + (command.allowOob() ? ", \"allow-oob\": true" : ""));
        } else if (definition instanceof Definition.Event event) {
            String argument = arguments(event.arguments(), "q_obj_" + event.name() + "-arg");
            add(
                    event.name(),
                    "event",
                    event.head().features(),
                    ", \"arg-type\": " + quote(argument));
        }
    }

    private String name(String key, String shown, Used used) {
        String known = names.get(key);
        if (known != null) {
            return known;
        }
        String name = masked ? String.valueOf(pending.size()) : shown;
        names.put(key, name);
        pending.add(Map.entry(name, used));
        return name;
    }

    private String empty() {
        return name("q_empty", "q_empty", n -> object(n, List.of(), List.of(), ""));
    }

    private String arguments(Definition.Arguments arguments, String implicit) {
        String type = arguments.type();
        if (type != null) {
            return use(new TypeRef(type, false));
        }
        if (arguments.members().isEmpty()) {
            return empty();
        }
        return name(implicit, implicit, n -> object(n, List.of(), arguments.members(), ""));
    }

    private String use(TypeRef ref) {
        Optional<BuiltinType> builtin = Schema.builtin(ref.name());
        if (ref.array()) {
            // Arrays and their elements are counted separately, the array first.
            String key =
                    "[" + (builtin.isPresent() ? builtinName(builtin.get()) : ref.name()) + "]";
            String known = names.get(key);
            if (known != null) {
                return known;
            }
            int slot = pending.size();
            pending.add(Map.entry("", n -> {}));
            String element = use(new TypeRef(ref.name(), false));
            String name = "[" + element + "]";
            names.put(key, name);
            pending.set(
                    slot,
                    Map.entry(
                            name,
                            n ->
                                    add(
                                            n,
                                            "array",
                                            List.of(),
                                            ", \"element-type\": " + quote(element))));
            return name;
        }
        if (builtin.isPresent()) {
            String name = builtinName(builtin.get());
            if (names.putIfAbsent(name, name) == null) {
                pending.add(
                        Map.entry(
                                name,
                                n ->
                                        add(
                                                n,
                                                "builtin",
                                                List.of(),
                                                ", \"json-type\": "
                                                        + quote(builtin.get().jsonType()))));
            }
            return name;
        }
        return name(ref.name(), ref.name(), n -> type(n, schema.type(ref.name())));
    }

    private static String builtinName(BuiltinType type) {
        return type.jsonType().equals("int") ? "int" : type.wireName();
    }

    private void type(String name, Definition.Type type) {
        List<Feature> features = type.head().features();
        if (type instanceof Definition.EnumType enumeration) {
            String members =
                    enumeration.values().stream()
                            .map(Introspection::value)
                            .collect(Collectors.joining(", ", "[", "]"));
            String values =
                    enumeration.values().stream()
                            .map(v -> quote(v.name()))
                            .collect(Collectors.joining(", ", "[", "]"));
            add(name, "enum", features, ", \"members\": " + members + ", \"values\": " + values);
        } else if (type instanceof Definition.AlternateType alternate) {
            String members =
                    alternate.branches().stream()
                            .map(b -> "{\"type\": " + quote(use(b.type())) + "}")
                            .collect(Collectors.joining(", ", "[", "]"));
            add(name, "alternate", features, ", \"members\": " + members);
        } else if (type instanceof Definition.UnionType union) {
            object(name, features, schema.commonMembers(type.name()), variants(union));
        } else {
            object(name, features, schema.commonMembers(type.name()), "");
        }
    }

    private static String value(EnumValue value) {
        return "{\"name\": " + quote(value.name()) + features(value.features()) + "}";
    }

    private void object(
            String name, List<Feature> features, List<Member> members, String variants) {
        String list =
                members.stream().map(this::member).collect(Collectors.joining(", ", "[", "]"));
        add(name, "object", features, ", \"members\": " + list + variants);
    }

    private String member(Member member) {
        return "{\"name\": "
                + quote(member.name())
                + ", \"type\": "
                + quote(use(member.type()))
                + (member.optional() ? ", \"default\": null" : "")
                + features(member.features())
                + "}";
    }

    private String variants(Definition.UnionType union) {
        // Members are numbered before branches, as a reader of the text would meet them.
        schema.commonMembers(union.name()).forEach(m -> use(m.type()));
        Map<String, String> cases = new LinkedHashMap<>();
        for (Branch branch : union.branches()) {
            cases.put(branch.name(), use(branch.type()));
        }
        for (EnumValue value : schema.discriminatorType(union).values()) {
            if (!cases.containsKey(value.name())) {
                cases.put(value.name(), empty());
            }
        }
        String list =
                cases.entrySet().stream()
                        .map(
                                e ->
                                        "{\"case\": "
                                                + quote(e.getKey())
                                                + ", \"type\": "
                                                + quote(e.getValue())
                                                + "}")
                        .collect(Collectors.joining(", ", "[", "]"));
        return ", \"tag\": " + quote(union.discriminator()) + ", \"variants\": " + list;
    }
}
