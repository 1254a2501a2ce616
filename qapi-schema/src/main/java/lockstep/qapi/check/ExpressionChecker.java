package lockstep.qapi.check;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.Expression;
import lockstep.qapi.syntax.Node;
import lockstep.qapi.syntax.Pragmas;
import lockstep.qapi.syntax.Pragmas.Rule;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Checks one expression by itself and turns it into a definition. What is wrong is noted and left
 * out, so that the rest is checked, too.
 */
final class ExpressionChecker {
    private static final List<String> METAS =
            List.of("enum", "struct", "union", "alternate", "command", "event");
    private static final Pattern SYMBOL = Pattern.compile("[A-Z][A-Z0-9_]*");

    private final Pragmas pragmas;
    private final ErrorLog log;
    private final Expression expression;
    private final Map<String, Node> members;
    private final int before;
    private SourceInfo info;

    ExpressionChecker(Pragmas pragmas, ErrorLog log, Expression expression) {
        this.pragmas = pragmas;
        this.log = log;
        this.expression = expression;
        this.members = expression.members();
        this.info = expression.info();
        this.before = log.count();
    }

    /** The definition, or null when it has errors. */
    @Nullable Definition check() {
        List<String> metas = METAS.stream().filter(members::containsKey).toList();
        if (metas.size() != 1) {
            error(
                    "expression must have exactly one key"
                            + " 'enum', 'struct', 'union', 'alternate', 'command', 'event'");
            return null;
        }
        String meta = metas.get(0);
        String name = string(members.get(meta), "'" + meta + "'");
        if (name == null) {
            return null;
        }
        info = info.within(meta, name);
        definitionName(name, meta);
        if (log.count() == before) {
            documentation(name, meta);
        }
        Definition definition =
                switch (meta) {
                    case "enum" -> enumeration(name);
                    case "struct" -> struct(name);
                    case "union" -> union(name);
                    case "alternate" -> alternate(name);
                    case "command" -> command(name);
                    default -> event(name);
                };
        return log.count() == before ? definition : null;
    }

    private void error(String message) {
        log.report(info, message);
    }

    private void complain(@Nullable String complaint) {
        if (complaint != null) {
            error(complaint);
        }
    }

    private @Nullable String string(@Nullable Node node, String source) {
        if (node instanceof Node.Str string) {
            return string.value();
        }
        error(source + " requires a string name");
        return null;
    }

    private void definitionName(String name, String meta) {
        switch (meta) {
            case "event" -> complain(Names.upper(name, meta));
            case "command" ->
                    complain(
                            Names.lower(
                                    name, meta, false, pragmas.except(Rule.COMMAND_NAME, name)));
            default -> {
                complain(Names.camel(name, meta));
                if (name.endsWith("List")) {
                    error(meta + " name should not end in 'List'");
                }
            }
        }
    }

    private void documentation(String name, String meta) {
        DocComment doc = expression.doc();
        if (doc == null) {
            if (pragmas.docRequired()) {
                error("documentation comment required");
            }
            return;
        }
        if (!doc.sound()) {
            return;
        }
        if (!name.equals(doc.symbol())) {
            error("documentation comment is for '" + doc.symbol() + "'");
        }
        DocComment.Section returns = doc.find(DocComment.Kind.RETURNS, "");
        DocComment.Section errors = doc.find(DocComment.Kind.ERRORS, "");
        if (returns != null && !meta.equals("command")) {
            log.report(returns.info(), "'Returns' section is only valid for commands");
        } else if (returns != null && !members.containsKey("returns")) {
            log.report(returns.info(), "'Returns' section, but command doesn't return anything");
        }
        if (errors != null && !meta.equals("command")) {
            log.report(errors.info(), "'Errors' section is only valid for commands");
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
        Node data = members.get("data");
        List<Node> elements = List.of();
        if (data instanceof Node.Arr list) {
            elements = list.elements();
        } else if (data != null) {
            error("'data' must be an array");
        }
        String prefix = null;
        Node prefixNode = members.get("prefix");
        if (prefixNode instanceof Node.Str string) {
            prefix = string.value();
        } else if (prefixNode != null) {
            error("'prefix' must be a string");
        }
        List<EnumValue> values = new ArrayList<>();
        for (Node element : elements) {
            EnumValue value = enumValue(element, pragmas.except(Rule.MEMBER_NAME, name));
            if (value != null) {
                values.add(value);
            }
        }
        return new Definition.EnumType(head("enum", name), values, prefix);
    }

    private @Nullable EnumValue enumValue(Node node, boolean permissive) {
        Map<String, Node> value = longForm(node, "name");
        if (!keys(value, "'data' member", List.of("name"), List.of("if", "features"))) {
            return null;
        }
        String name = string(value.get("name"), "'data' member");
        if (name == null) {
            return null;
        }
        String source = "'data' member '" + name + "'";
        // Unlike other names, a value may start with a digit.
        boolean digit = !name.isEmpty() && name.charAt(0) >= '0' && name.charAt(0) <= '9';
        complain(Names.lower(digit ? "d" + name : name, source, permissive, permissive));
        return new EnumValue(name, condition(value, source), features(value));
    }

    private Definition struct(String name) {
        keys(members, "struct", List.of("struct", "data"), List.of("base", "if", "features"));
        List<Member> data = implicit(members.get("data"), "'data'", name);
        String base = typeName(members.get("base"), "'base'");
        return new Definition.StructType(head("struct", name), orNone(base), data);
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
            baseName = orNone(string.value());
        } else {
            baseMembers = implicit(base, "'base'", name);
        }
        Node tag = members.get("discriminator");
        String discriminator = tag == null ? null : string(tag, "'discriminator'");
        List<Branch> branches = new ArrayList<>();
        object(members.get("data"))
                .forEach(
                        (key, node) -> {
                            String source = "'data' member '" + key + "'";
                            Map<String, Node> value = longForm(node, "type");
                            if (keys(value, source, List.of("type"), List.of("if"))) {
                                Condition condition = condition(value, source);
                                String type = typeName(value.get("type"), source);
                                if (type != null) {
                                    TypeRef ref = new TypeRef(type, false);
                                    branches.add(new Branch(key, ref, condition));
                                }
                            }
                        });
        return new Definition.UnionType(
                head("union", name),
                baseName,
                baseMembers,
                discriminator == null ? "" : discriminator,
                branches);
    }

    private Definition alternate(String name) {
        keys(members, "alternate", List.of("alternate", "data"), List.of("if", "features"));
        List<Branch> branches = new ArrayList<>();
        Node data = members.get("data");
        if (data != null && !data.truthy()) {
            error("'data' must not be empty");
            data = null;
        }
        object(data)
                .forEach(
                        (key, element) -> {
                            String source = "'data' member '" + key + "'";
                            complain(Names.lower(key, source, false, false));
                            Map<String, Node> value = longForm(element, "type");
                            if (keys(value, source, List.of("type"), List.of("if"))) {
                                Condition condition = condition(value, source);
                                TypeRef type = typeOrArray(value.get("type"), source);
                                if (type != null) {
                                    branches.add(new Branch(key, type, condition));
                                }
                            }
                        });
        return new Definition.AlternateType(head("alternate", name), branches);
    }

    private Map<String, Node> object(@Nullable Node data) {
        if (data instanceof Node.Obj object) {
            return object.members();
        }
        if (data != null) {
            error("'data' must be an object");
        }
        return Map.of();
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
        Node node = members.get("returns");
        boolean none = node == null || node.equals(new Node.Str(""));
        TypeRef returns = none ? null : typeOrArray(node, "'returns'");
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
        Node boxedNode = members.get("boxed");
        boolean boxed = boxedNode != null && boxedNode.truthy();
        if (boxed && data == null) {
            error("'boxed': true requires 'data'");
        }
        if (boxed || data instanceof Node.Str) {
            String type = typeName(data, "'data'");
            return new Definition.Arguments(orNone(type), List.of(), boxed);
        }
        return new Definition.Arguments(null, implicit(data, "'data'", null), false);
    }

    private boolean flag(String key, boolean otherwise) {
        return members.get(key) instanceof Node.Bool bool ? bool.value() : otherwise;
    }

    private void flags() {
        onlyValue(List.of("gen", "success-response"), false);
        onlyValue(List.of("boxed", "allow-oob", "allow-preconfig", "coroutine"), true);
        if (members.containsKey("allow-oob") && members.containsKey("coroutine")) {
            error("flags 'allow-oob' and 'coroutine' are incompatible");
        }
    }

    private void onlyValue(List<String> keys, boolean only) {
        for (String key : keys) {
            Node value = members.get(key);
            if (value != null && !value.equals(new Node.Bool(only))) {
                error("flag '" + key + "' may only use " + only + " value");
            }
        }
    }

    private List<Member> implicit(@Nullable Node node, String source, @Nullable String owner) {
        if (!(node instanceof Node.Obj object)) {
            if (node != null) {
                error(source + " should be an object or type name");
            }
            return List.of();
        }
        boolean permissive = owner != null && pragmas.except(Rule.MEMBER_NAME, owner);
        List<Member> result = new ArrayList<>();
        object.members()
                .forEach(
                        (key, element) -> {
                            String keySource = source + " member '" + key + "'";
                            Member member = member(key, element, keySource, permissive);
                            if (member != null) {
                                result.add(member);
                            }
                        });
        return result;
    }

    private @Nullable Member member(String key, Node node, String source, boolean permissive) {
        boolean optional = key.startsWith("*");
        String name = optional ? key.substring(1) : key;
        complain(Names.lower(name, source, permissive, permissive));
        String identifier = Names.identifier(name);
        if (identifier.equals("u") || identifier.startsWith("has_")) {
            error(source + " uses reserved name");
        }
        Map<String, Node> value = longForm(node, "type");
        if (!keys(value, source, List.of("type"), List.of("if", "features"))) {
            return null;
        }
        Condition condition = condition(value, source);
        List<Feature> features = features(value);
        TypeRef type = typeOrArray(value.get("type"), source);
        return type == null ? null : new Member(name, type, optional, condition, features);
    }

    private static Map<String, Node> longForm(Node node, String key) {
        return node instanceof Node.Obj object ? object.members() : Map.of(key, node);
    }

    private @Nullable String typeName(@Nullable Node node, String source) {
        if (node instanceof Node.Str string) {
            return string.value();
        }
        if (node != null) {
            error(source + " should be a type name");
        }
        return null;
    }

    /** An empty name stands for no type where a type may be left out. */
    private static @Nullable String orNone(@Nullable String type) {
        return type == null || type.isEmpty() ? null : type;
    }

    private @Nullable TypeRef typeOrArray(@Nullable Node node, String source) {
        if (node instanceof Node.Str string) {
            return new TypeRef(string.value(), false);
        }
        if (node instanceof Node.Arr list) {
            if (list.elements().size() == 1 && list.elements().get(0) instanceof Node.Str string) {
                return new TypeRef(string.value(), true);
            }
            error(source + ": array type must contain single type name");
            return null;
        }
        error(source + " should be a type name or array");
        return null;
    }

    private List<Feature> features(Map<String, Node> holder) {
        Node node = holder.get("features");
        if (node == null) {
            return List.of();
        }
        if (!(node instanceof Node.Arr list)) {
            error("'features' must be an array");
            return List.of();
        }
        List<Feature> result = new ArrayList<>();
        for (Node element : list.elements()) {
            Map<String, Node> value = longForm(element, "name");
            if (!keys(value, "'features' member", List.of("name"), List.of("if"))) {
                continue;
            }
            String name = string(value.get("name"), "'features' member");
            if (name != null) {
                String source = "'features' member '" + name + "'";
                complain(Names.lower(name, source, false, false));
                result.add(new Feature(name, condition(value, source)));
            }
        }
        return result;
    }

    private Condition condition(Map<String, Node> holder, String source) {
        Node node = holder.get("if");
        return node == null ? Condition.ALWAYS : condition(node, source);
    }

    private Condition condition(Node node, String source) {
        if (node instanceof Node.Str string) {
            if (!SYMBOL.matcher(string.value()).matches()) {
                error(
                        "'if' condition '"
                                + string.value()
                                + "' of "
                                + source
                                + " is not a valid identifier");
            }
            return new Condition.Symbol(string.value());
        }
        if (!(node instanceof Node.Obj object)) {
            error("'if' condition of " + source + " must be a string or an object");
            return Condition.ALWAYS;
        }
        Map<String, Node> value = object.members();
        String what = "'if' condition of " + source;
        int errors = log.count();
        keys(value, what, List.of(), List.of("all", "any", "not"));
        if (log.count() > errors) {
            return Condition.ALWAYS;
        }
        if (value.size() != 1) {
            error("'if' condition of " + source + " has conflicting keys");
            return Condition.ALWAYS;
        }
        String key = value.keySet().iterator().next();
        Node operand = value.values().iterator().next();
        if (key.equals("not")) {
            return new Condition.Not(condition(operand, source));
        }
        if (!(operand instanceof Node.Arr list)) {
            error("'" + key + "' condition of " + source + " must be an array");
            return Condition.ALWAYS;
        }
        if (list.elements().isEmpty()) {
            error("'if' condition [] of " + source + " is useless");
        }
        List<Condition> operands = new ArrayList<>();
        for (Node element : list.elements()) {
            operands.add(condition(element, source));
        }
        return key.equals("all") ? new Condition.All(operands) : new Condition.Any(operands);
    }

    /** Notes missing and unknown keys; gives whether all required ones are there. */
    private boolean keys(
            Map<String, Node> value, String source, List<String> required, List<String> optional) {
        int known = 0;
        for (String key : value.keySet()) {
            known += required.contains(key) || optional.contains(key) ? 1 : 0;
        }
        if (known == value.size() && value.keySet().containsAll(required)) {
            return true;
        }
        Set<String> missing = new TreeSet<>(required);
        missing.removeAll(value.keySet());
        if (!missing.isEmpty()) {
            error(source + " misses key" + plural(missing) + " " + quoted(missing));
        }
        Set<String> unknown = new TreeSet<>(value.keySet());
        required.forEach(unknown::remove);
        optional.forEach(unknown::remove);
        if (!unknown.isEmpty()) {
            Set<String> allowed = new TreeSet<>(required);
            allowed.addAll(optional);
            error(
                    source
                            + " has unknown key"
                            + plural(unknown)
                            + " "
                            + quoted(unknown)
                            + "\nValid keys are "
                            + quoted(allowed)
                            + ".");
        }
        return missing.isEmpty();
    }

    private static String plural(Set<String> set) {
        return set.size() > 1 ? "s" : "";
    }

    private static String quoted(Set<String> set) {
        return set.stream().map(s -> "'" + s + "'").collect(Collectors.joining(", "));
    }
}
