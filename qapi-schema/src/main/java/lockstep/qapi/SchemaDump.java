package lockstep.qapi;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.DocComment;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The canonical dump of a schema: what it says with everything implied written out, byte for byte
 * as QEMU's schema test prints it. Types given inline get names, arrays stand in the module of
 * their elements, and branches that a union leaves out are shown.
 */
public final class SchemaDump {
    private static final String BUILTIN_MODULE = "./builtin";

    private final Schema schema;
    private final Map<String, Schema.Module> byName = new LinkedHashMap<>();
    private final Map<String, StringBuilder> modules = new LinkedHashMap<>();
    private final Map<String, String> moduleOfType = new LinkedHashMap<>();
    private final Set<String> arrays = new HashSet<>();
    private final StringBuilder docs = new StringBuilder();

    private SchemaDump(Schema schema) {
        this.schema = schema;
        schema.modules().forEach(m -> byName.put(m.name(), m));
    }

    /** The dump, each line ended by a newline. */
    public static String of(Schema schema) {
        SchemaDump dump = new SchemaDump(schema);
        dump.modules.put(BUILTIN_MODULE, new StringBuilder("object q_empty\n"));
        dump.definition(BUILTIN_MODULE, Schema.QTYPE);
        Schema.Module main = schema.modules().get(0);
        dump.modules.put(main.name(), new StringBuilder());
        dump.open(main);
        dump.module(main, new HashSet<>());
        StringBuilder all = new StringBuilder();
        dump.modules.forEach((name, text) -> all.append("module " + name + "\n").append(text));
        schema.docs().forEach(dump::comment);
        return all.append(dump.docs).toString();
    }

    /**
     * Makes room for modules in the order of their inclusion. One included under another name, which
     * can only begin with a dot, stays empty.
     */
    private void open(Schema.Module module) {
        for (Schema.Entry entry : module.entries()) {
            if (entry instanceof Definition definition) {
                moduleOfType.put(definition.name(), module.name());
            } else if (entry instanceof Schema.Include include
                    && modules.putIfAbsent(include.module(), new StringBuilder()) == null) {
                Schema.Module other = byName.get(include.module());
                if (other != null) {
                    open(other);
                }
            }
        }
    }

    /** Goes through the definitions in reading order, which is the order arrays appear in. */
    private void module(Schema.Module module, Set<String> done) {
        done.add(module.name());
        for (Schema.Entry entry : module.entries()) {
            if (entry instanceof Schema.Include include) {
                line(module.name(), "include " + include.module());
                Schema.Module other = byName.get(include.module());
                if (other != null && !done.contains(include.module())) {
                    module(other, done);
                }
            } else if (entry instanceof Definition definition) {
                definition(module.name(), definition);
            }
        }
    }

    private void line(String module, String text) {
        modules.computeIfAbsent(module, m -> new StringBuilder()).append(text).append('\n');
    }

    private void definition(String module, Definition definition) {
        for (Member member : definition.ownMembers()) {
            array(member.type());
        }
        Definition.Head head = definition.head();
        if (definition instanceof Definition.EnumType type) {
            enumeration(module, type);
        } else if (definition instanceof Definition.StructType type) {
            line(module, "object " + type.name());
            object(module, type.base(), type.members());
        } else if (definition instanceof Definition.UnionType type) {
            union(module, type);
        } else if (definition instanceof Definition.AlternateType type) {
            type.branches().forEach(b -> array(b.type()));
            line(module, "alternate " + type.name());
            line(module, "    tag type");
            type.branches().forEach(b -> branch(module, b));
        } else if (definition instanceof Definition.Command command) {
            command(module, command);
        } else if (definition instanceof Definition.Event event) {
            String arguments = arguments(module, event, event.arguments());
            line(module, "event " + event.name() + " " + arguments);
            line(module, "    boxed=" + python(event.arguments().boxed()));
        }
        condition(module, 4, head.condition());
        features(module, 4, head.features());
    }

    private void enumeration(String module, Definition.EnumType type) {
        line(module, "enum " + type.name());
        String prefix = type.prefix();
        if (prefix != null && !prefix.isEmpty()) {
            line(module, "    prefix " + prefix);
        }
        for (EnumValue value : type.values()) {
            line(module, "    member " + value.name());
            condition(module, 8, value.condition());
            features(module, 8, value.features());
        }
    }

    private void union(String module, Definition.UnionType type) {
        String base = type.base();
        if (base == null) {
            base = "q_obj_" + type.name() + "-base";
            implicit(module, base, type, type.baseMembers());
        }
        line(module, "object " + type.name());
        object(module, base, List.of());
        line(module, "    tag " + type.discriminator());
        Set<String> explicit = new HashSet<>();
        for (Branch branch : type.branches()) {
            explicit.add(branch.name());
            branch(module, branch);
        }
        for (EnumValue value : schema.discriminatorType(type).values()) {
            if (!explicit.contains(value.name())) {
                TypeRef none = new TypeRef("q_empty", false);
                branch(module, new Branch(value.name(), none, value.condition()));
            }
        }
    }

    private void command(String module, Definition.Command command) {
        String arguments = arguments(module, command, command.arguments());
        TypeRef returns = command.returns();
        if (returns != null) {
            array(returns);
        }
        String result = returns == null ? "None" : name(returns);
        line(module, "command " + command.name() + " " + arguments + " -> " + result);
        line(
                module,
                "    gen="
                        + python(command.generated())
                        + " success_response="
                        + python(command.successResponse())
                        + " boxed="
                        + python(command.arguments().boxed())
                        + " oob="
                        + python(command.allowOob())
                        + " preconfig="
                        + python(command.allowPreconfig())
                        + (command.coroutine() ? " coroutine=True" : ""));
    }

    private String arguments(String module, Definition definition, Definition.Arguments arguments) {
        String type = arguments.type();
        if (type != null) {
            return type;
        }
        if (arguments.members().isEmpty()) {
            return "None";
        }
        String name = "q_obj_" + definition.name() + "-arg";
        implicit(module, name, definition, arguments.members());
        return name;
    }

    private void implicit(String module, String name, Definition definition, List<Member> members) {
        line(module, "object " + name);
        object(module, null, members);
        condition(module, 4, definition.head().condition());
    }

    private void object(String module, @Nullable String base, List<Member> members) {
        if (base != null) {
            line(module, "    base " + base);
        }
        for (Member member : members) {
            line(
                    module,
                    "    member "
                            + member.name()
                            + ": "
                            + name(member.type())
                            + " optional="
                            + python(member.optional()));
            condition(module, 8, member.condition());
            features(module, 8, member.features());
        }
    }

    private void branch(String module, Branch branch) {
        line(module, "    case " + branch.name() + ": " + name(branch.type()));
        condition(module, 8, branch.condition());
    }

    /** The array type appears with its first use; those of built-in types are always there. */
    private void array(TypeRef type) {
        String element = type.name();
        if (!type.array() || Schema.builtin(element).isPresent() || !arrays.add(element)) {
            return;
        }
        String module = moduleOfType.getOrDefault(element, BUILTIN_MODULE);
        line(module, "array " + name(type) + " " + element);
        condition(module, 4, schema.type(element).head().condition());
    }

    private void condition(String module, int indent, Condition condition) {
        if (!condition.equals(Condition.ALWAYS)) {
            String text =
                    condition instanceof Condition.Symbol symbol
                            ? symbol.name()
                            : python(condition);
            line(module, " ".repeat(indent) + "if " + text);
        }
    }

    private void features(String module, int indent, List<Feature> features) {
        for (Feature feature : features) {
            line(module, " ".repeat(indent) + "feature " + feature.name());
            condition(module, indent + 4, feature.condition());
        }
    }

    private static String name(TypeRef type) {
        return type.array() ? type.name() + "List" : type.name();
    }

    private static String python(boolean value) {
        return value ? "True" : "False";
    }

    private static String python(Condition condition) {
        if (condition instanceof Condition.Symbol symbol) {
            return "'" + symbol.name() + "'";
        }
        if (condition instanceof Condition.Not not) {
            return "{'not': " + python(not.operand()) + "}";
        }
        boolean all = condition instanceof Condition.All;
        List<Condition> operands =
                condition instanceof Condition.All a
                        ? a.operands()
                        : ((Condition.Any) condition).operands();
        String list = operands.stream().map(SchemaDump::python).collect(Collectors.joining(", "));
        return (all ? "{'all': [" : "{'any': [") + list + "]}";
    }

    private void comment(DocComment doc) {
        String symbol = doc.symbol();
        doc(symbol == null ? "doc freeform" : "doc symbol=" + symbol);
        List<DocComment.Section> sections = doc.sections();
        doc("    body=\n" + sections.get(0).written());
        named(doc, DocComment.Kind.MEMBER, "arg");
        Definition definition = symbol == null ? null : schema.find(symbol).orElse(null);
        for (String member : definition == null ? List.<String>of() : members(definition)) {
            if (doc.find(DocComment.Kind.MEMBER, member) == null) {
                doc("    arg=" + member + "\n");
            }
        }
        named(doc, DocComment.Kind.FEATURE, "feature");
        for (DocComment.Section section : sections.subList(1, sections.size())) {
            if (section.kind() != DocComment.Kind.MEMBER
                    && section.kind() != DocComment.Kind.FEATURE) {
                doc("    section=" + section.kind() + "\n" + section.written());
            }
        }
    }

    private void named(DocComment doc, DocComment.Kind kind, String what) {
        for (DocComment.Section section : doc.sections()) {
            if (section.kind() == kind) {
                doc("    " + what + "=" + section.name() + "\n" + section.written());
            }
        }
    }

    private void doc(String text) {
        docs.append(text).append('\n');
    }

    /** What a definition's comment describes, in order. */
    private static List<String> members(Definition definition) {
        List<String> names = new ArrayList<>();
        if (definition instanceof Definition.EnumType type) {
            type.values().forEach(v -> names.add(v.name()));
        } else if (definition instanceof Definition.AlternateType type) {
            type.branches().forEach(b -> names.add(b.name()));
        }
        definition.ownMembers().forEach(m -> names.add(m.name()));
        return names;
    }
}
