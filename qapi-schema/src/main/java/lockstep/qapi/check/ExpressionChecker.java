package lockstep.qapi.check;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.Expression;
import lockstep.qapi.syntax.Node;
import lockstep.qapi.syntax.Pragmas;
import lockstep.qapi.syntax.SchemaErrorException;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Checks one expression by itself and turns it into a definition. */
final class ExpressionChecker {
    private static final List<String> METAS =
            List.of("enum", "struct", "union", "alternate", "command", "event");
    private static final Pattern SYMBOL = Pattern.compile("[A-Z][A-Z0-9_]*");

    private final Pragmas pragmas;
    private final Expression expression;
    private final Map<String, Node> members;
    private SourceInfo info;

    ExpressionChecker(Pragmas pragmas, Expression expression) {
        this.pragmas = pragmas;
        this.expression = expression;
        this.members = expression.members();
        this.info = expression.info();
    }

    Definition check() {
        List<String> metas = METAS.stream().filter(members::containsKey).toList();
        if (metas.size() != 1) {
            throw error(
                    "expression must have exactly one key"
                            + " 'enum', 'struct', 'union', 'alternate', 'command', 'event'");
        }
        String meta = metas.get(0);
        String name = Names.string(members.get(meta), info, "'" + meta + "'");
        info = info.within(meta, name);
        definitionName(name, meta);
        doc(name);
        return switch (meta) {
            case "enum" -> enumeration(name);
            case "struct" -> struct(name);
            case "union" -> union(name);
            case "alternate" -> alternate(name);
            case "command" -> command(name);
            default -> event(name);
        };
    }

    private SchemaErrorException error(String message) {
        return new SchemaErrorException(info, message);
    }

    private void definitionName(String name, String meta) {
        switch (meta) {
            case "event" -> Names.upper(name, info, meta);
            case "command" ->
                    Names.lower(name, info, meta, false, pragmas.commandNames.contains(name));
            default -> {
                Names.camel(name, info, meta);
                if (name.endsWith("List")) {
                    throw error(meta + " name should not end in 'List'");
                }
            }
        }
    }

    private void doc(String name) {
        DocComment doc = expression.doc();
        if (doc == null) {
            if (pragmas.docRequired) {
                throw error("documentation comment required");
            }
            return;
        }
        if (!name.equals(doc.symbol())) {
            throw new SchemaErrorException(
                    doc.info(), "documentation comment is for '" + doc.symbol() + "'");
        }
    }

    private Definition.Head head(String meta, String name) {
        Condition condition = condition(members, meta);
        List<Feature> features = features(members);
        flags();
        return new Definition.Head(name, info, condition, features, expression.doc());
    }

    private Definition enumeration(String name) {
        keys(members, "enum", List.of("enum", "data"), List.of("if", "features", "prefix"));
        if (!(members.get("data") instanceof Node.Arr data)) {
            throw error("'data' must be an array");
        }
        String prefix = null;
        Node prefixNode = members.get("prefix");
        if (prefixNode != null) {
            if (!(prefixNode instanceof Node.Str string)) {
                throw error("'prefix' must be a string");
            }
            prefix = string.value();
        }
        boolean permissive = pragmas.memberNames.contains(name);
        List<EnumValue> values = new ArrayList<>();
        for (Node element : data.elements()) {
            Map<String, Node> value = longForm(element, "name");
            keys(value, "'data' member", List.of("name"), List.of("if", "features"));
            String valueName = Names.string(value.get("name"), info, "'data' member");
            String source = "'data' member '" + valueName + "'";
            boolean digit = !valueName.isEmpty() && Character.isDigit(valueName.charAt(0));
            Names.lower(digit ? "d" + valueName : valueName, info, source, permissive, permissive);
            values.add(new EnumValue(valueName, condition(value, source), features(value)));
        }
        return new Definition.EnumType(head("enum", name), values, prefix);
    }

    private Definition struct(String name) {
        keys(members, "struct", List.of("struct", "data"), List.of("base", "if", "features"));
        List<Member> data = implicit(members.get("data"), "'data'", name);
        String base = typeName(members.get("base"), "'base'");
        return new Definition.StructType(head("struct", name), base, data);
    }

    private Definition union(String name) {
        keys(
                members,
                "union",
                List.of("union", "base", "discriminator", "data"),
                List.of("if", "features"));
        Node base = members.get("base");
        String baseName = null;
        List<Member> baseMembers = List.of();
        if (base instanceof Node.Str string) {
            baseName = string.value();
        } else {
            baseMembers = implicit(base, "'base'", name);
        }
        String discriminator = Names.string(members.get("discriminator"), info, "'discriminator'");
        if (!(members.get("data") instanceof Node.Obj data)) {
            throw error("'data' must be an object");
        }
        List<Branch> branches = new ArrayList<>();
        data.members()
                .forEach(
                        (key, node) -> {
                            String source = "'data' member '" + key + "'";
                            Map<String, Node> value = longForm(node, "type");
                            keys(value, source, List.of("type"), List.of("if"));
                            Condition condition = condition(value, source);
                            if (!(value.get("type") instanceof Node.Str type)) {
                                throw error(source + " should be a type name");
                            }
                            branches.add(
                                    new Branch(key, new TypeRef(type.value(), false), condition));
                        });
        return new Definition.UnionType(
                head("union", name), baseName, baseMembers, discriminator, branches);
    }

    private Definition alternate(String name) {
        keys(members, "alternate", List.of("alternate", "data"), List.of("if", "features"));
        Node node = members.get("data");
        if (node instanceof Node.Obj none && none.members().isEmpty()
                || node instanceof Node.Arr list && list.elements().isEmpty()) {
            throw error("'data' must not be empty");
        }
        if (!(node instanceof Node.Obj data)) {
            throw error("'data' must be an object");
        }
        List<Branch> branches = new ArrayList<>();
        data.members()
                .forEach(
                        (key, element) -> {
                            String source = "'data' member '" + key + "'";
                            Names.lower(key, info, source, false, false);
                            Map<String, Node> value = longForm(element, "type");
                            keys(value, source, List.of("type"), List.of("if"));
                            Condition condition = condition(value, source);
                            TypeRef type = typeOrArray(value.get("type"), source);
                            branches.add(new Branch(key, type, condition));
                        });
        return new Definition.AlternateType(head("alternate", name), branches);
    }

    private Definition command(String name) {
        keys(
                members,
                "command",
                List.of("command"),
                List.of(
                        "data",
                        "returns",
                        "boxed",
                        "if",
                        "features",
                        "gen",
                        "success-response",
                        "allow-oob",
                        "allow-preconfig",
                        "coroutine"));
        Definition.Arguments arguments = arguments();
        Node returnsNode = members.get("returns");
        TypeRef returns = returnsNode == null ? null : typeOrArray(returnsNode, "'returns'");
        return new Definition.Command(
                head("command", name),
                arguments,
                returns,
                flag("gen", true),
                flag("success-response", true),
                flag("allow-oob", false),
                flag("allow-preconfig", false),
                flag("coroutine", false));
    }

    private Definition event(String name) {
        keys(members, "event", List.of("event"), List.of("data", "boxed", "if", "features"));
        Definition.Arguments arguments = arguments();
        return new Definition.Event(head("event", name), arguments);
    }

    private Definition.Arguments arguments() {
        Node data = members.get("data");
        if (members.containsKey("boxed")) {
            if (data == null) {
                throw error("'boxed': true requires 'data'");
            }
            return new Definition.Arguments(typeName(data, "'data'"), List.of(), true);
        }
        if (data == null) {
            return new Definition.Arguments(null, List.of(), false);
        }
        if (data instanceof Node.Str string) {
            return new Definition.Arguments(string.value(), List.of(), false);
        }
        return new Definition.Arguments(null, implicit(data, "'data'", null), false);
    }

    private boolean flag(String key, boolean otherwise) {
        return members.get(key) instanceof Node.Bool bool ? bool.value() : otherwise;
    }

    private void flags() {
        for (String key : List.of("gen", "success-response")) {
            Node value = members.get(key);
            if (value != null && !(value instanceof Node.Bool bool && !bool.value())) {
                throw error("flag '" + key + "' may only use false value");
            }
        }
        for (String key : List.of("boxed", "allow-oob", "allow-preconfig", "coroutine")) {
            Node value = members.get(key);
            if (value != null && !(value instanceof Node.Bool bool && bool.value())) {
                throw error("flag '" + key + "' may only use true value");
            }
        }
        if (members.containsKey("allow-oob") && members.containsKey("coroutine")) {
            throw error("flags 'allow-oob' and 'coroutine' are incompatible");
        }
    }

    private List<Member> implicit(@Nullable Node node, String source, @Nullable String owner) {
        if (!(node instanceof Node.Obj object)) {
            throw error(source + " should be an object or type name");
        }
        boolean permissive = owner != null && pragmas.memberNames.contains(owner);
        List<Member> result = new ArrayList<>();
        object.members()
                .forEach(
                        (key, element) -> {
                            String keySource = source + " member '" + key + "'";
                            boolean optional = key.startsWith("*");
                            String name = optional ? key.substring(1) : key;
                            Names.lower(name, info, keySource, permissive, permissive);
                            String identifier = Names.identifier(name);
                            if (identifier.equals("u") || identifier.startsWith("has_")) {
                                throw error(keySource + " uses reserved name");
                            }
                            Map<String, Node> value = longForm(element, "type");
                            keys(value, keySource, List.of("type"), List.of("if", "features"));
                            Condition condition = condition(value, keySource);
                            List<Feature> features = features(value);
                            TypeRef type = typeOrArray(value.get("type"), keySource);
                            result.add(new Member(name, type, optional, condition, features));
                        });
        return result;
    }

    private static Map<String, Node> longForm(Node node, String key) {
        return node instanceof Node.Obj object ? object.members() : Map.of(key, node);
    }

    private @Nullable String typeName(@Nullable Node node, String source) {
        if (node == null) {
            return null;
        }
        if (node instanceof Node.Str string) {
            return string.value();
        }
        throw error(source + " should be a type name");
    }

    private TypeRef typeOrArray(@Nullable Node node, String source) {
        if (node instanceof Node.Str string) {
            return new TypeRef(string.value(), false);
        }
        if (node instanceof Node.Arr list) {
            if (list.elements().size() == 1 && list.elements().get(0) instanceof Node.Str string) {
                return new TypeRef(string.value(), true);
            }
            throw error(source + ": array type must contain single type name");
        }
        throw error(source + " should be a type name");
    }

    private List<Feature> features(Map<String, Node> holder) {
        Node node = holder.get("features");
        if (node == null) {
            return List.of();
        }
        if (!(node instanceof Node.Arr list)) {
            throw error("'features' must be an array");
        }
        List<Feature> result = new ArrayList<>();
        for (Node element : list.elements()) {
            Map<String, Node> value = longForm(element, "name");
            keys(value, "'features' member", List.of("name"), List.of("if"));
            String name = Names.string(value.get("name"), info, "'features' member");
            String source = "'features' member '" + name + "'";
            Names.lower(name, info, source, false, false);
            result.add(new Feature(name, condition(value, source)));
        }
        return result;
    }

    private Condition condition(Map<String, Node> holder, String source) {
        Node node = holder.get("if");
        return node == null ? Condition.ALWAYS : parseCondition(node, source);
    }

    private Condition parseCondition(Node node, String source) {
        if (node instanceof Node.Str string) {
            if (!SYMBOL.matcher(string.value()).matches()) {
                throw error(
                        "'if' condition '"
                                + string.value()
                                + "' of "
                                + source
                                + " is not a valid identifier");
            }
            return new Condition.Symbol(string.value());
        }
        if (!(node instanceof Node.Obj object)) {
            throw error("'if' condition of " + source + " must be a string or an object");
        }
        Map<String, Node> value = object.members();
        keys(value, "'if' condition of " + source, List.of(), List.of("all", "any", "not"));
        if (value.size() != 1) {
            throw error("'if' condition of " + source + " has conflicting keys");
        }
        String key = value.keySet().iterator().next();
        Node operand = value.values().iterator().next();
        if (key.equals("not")) {
            return new Condition.Not(parseCondition(operand, source));
        }
        if (!(operand instanceof Node.Arr list)) {
            throw error("'" + key + "' condition of " + source + " must be an array");
        }
        if (list.elements().isEmpty()) {
            throw error("'if' condition [] of " + source + " is useless");
        }
        List<Condition> operands =
                list.elements().stream().map(o -> parseCondition(o, source)).toList();
        return key.equals("all") ? new Condition.All(operands) : new Condition.Any(operands);
    }

    private void keys(
            Map<String, Node> value, String source, List<String> required, List<String> optional) {
        Set<String> missing = new TreeSet<>(required);
        missing.removeAll(value.keySet());
        if (!missing.isEmpty()) {
            throw error(source + " misses key" + plural(missing) + " " + quoted(missing));
        }
        Set<String> allowed = new TreeSet<>(required);
        allowed.addAll(optional);
        Set<String> unknown = new TreeSet<>(value.keySet());
        unknown.removeAll(allowed);
        if (!unknown.isEmpty()) {
            throw error(
                    source
                            + " has unknown key"
                            + plural(unknown)
                            + " "
                            + quoted(unknown)
                            + "\nValid keys are "
                            + quoted(allowed)
                            + ".");
        }
    }

    private static String plural(Set<String> set) {
        return set.size() > 1 ? "s" : "";
    }

    private static String quoted(Set<String> set) {
        return set.stream().map(s -> "'" + s + "'").collect(Collectors.joining(", "));
    }
}
