package lockstep.codegen;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Leaves out of a schema what its {@code if} conditions exclude. A type that is still used stays all
 * the same, so that any choice of symbols gives Java that compiles.
 */
final class ConditionFilter {
    private final Set<String> defined;
    private final Map<String, Definition> kept = new HashMap<>();

    private ConditionFilter(Set<String> defined) {
        this.defined = defined;
    }

    static Schema apply(Schema schema, Set<String> defined) {
        ConditionFilter filter = new ConditionFilter(defined);
        schema.definitions()
                .filter(d -> filter.keep(d.head().condition()))
                .forEach(d -> filter.keep(schema, d));
        List<Schema.Module> modules = new ArrayList<>();
        for (Schema.Module module : schema.modules()) {
            List<Schema.Entry> entries = new ArrayList<>();
            for (Schema.Entry entry : module.entries()) {
                if (!(entry instanceof Definition definition)) {
                    entries.add(entry);
                } else if (filter.kept.containsKey(definition.name())) {
                    entries.add(filter.kept.get(definition.name()));
                }
            }
            modules.add(new Schema.Module(module.name(), module.path(), entries));
        }
        return new Schema(modules, schema.docs());
    }

    private void keep(Schema schema, Definition definition) {
        if (kept.containsKey(definition.name())) {
            return;
        }
        Definition left = definition(definition);
        kept.put(definition.name(), left);
        for (String used : used(left)) {
            schema.find(used).ifPresent(d -> keep(schema, d));
        }
    }

    private static List<String> used(Definition definition) {
        List<String> names = new ArrayList<>();
        List<Member> members = List.of();
        List<Branch> branches = List.of();
        if (definition instanceof Definition.StructType type) {
            names.add(type.base());
            members = type.members();
        } else if (definition instanceof Definition.UnionType type) {
            names.add(type.base());
            members = type.baseMembers();
            branches = type.branches();
        } else if (definition instanceof Definition.AlternateType type) {
            branches = type.branches();
        } else if (definition instanceof Definition.Command command) {
            names.add(command.arguments().type());
            members = command.arguments().members();
            names.add(command.returns() == null ? null : command.returns().name());
        } else if (definition instanceof Definition.Event event) {
            names.add(event.arguments().type());
            members = event.arguments().members();
        }
        members.forEach(m -> names.add(m.type().name()));
        branches.forEach(b -> names.add(b.type().name()));
        names.removeIf(Objects::isNull);
        return names;
    }

    private Definition definition(Definition definition) {
        if (definition instanceof Definition.EnumType type) {
            return new Definition.EnumType(head(type), values(type.values()), type.prefix());
        }
        if (definition instanceof Definition.StructType type) {
            return new Definition.StructType(head(type), type.base(), members(type.members()));
        }
        if (definition instanceof Definition.UnionType type) {
            return new Definition.UnionType(
                    head(type),
                    type.base(),
                    members(type.baseMembers()),
                    type.discriminator(),
                    branches(type.branches()));
        }
        if (definition instanceof Definition.AlternateType type) {
            return new Definition.AlternateType(head(type), branches(type.branches()));
        }
        if (definition instanceof Definition.Command command) {
            return new Definition.Command(
                    head(command),
                    arguments(command.arguments()),
                    command.returns(),
                    command.generated(),
                    command.successResponse(),
                    command.allowOob(),
                    command.allowPreconfig(),
                    command.coroutine());
        }
        Definition.Event event = (Definition.Event) definition;
        return new Definition.Event(head(event), arguments(event.arguments()));
    }

    private boolean keep(Condition condition) {
        return condition.holds(defined);
    }

    private Definition.Head head(Definition definition) {
        Definition.Head head = definition.head();
        return new Definition.Head(
                head.name(), head.info(), Condition.ALWAYS, features(head.features()), head.doc());
    }

    private List<Feature> features(List<Feature> features) {
        return features.stream().filter(f -> keep(f.condition())).toList();
    }

    private List<EnumValue> values(List<EnumValue> values) {
        return values.stream()
                .filter(v -> keep(v.condition()))
                .map(v -> new EnumValue(v.name(), Condition.ALWAYS, features(v.features())))
                .toList();
    }

    private List<Member> members(List<Member> members) {
        return members.stream()
                .filter(m -> keep(m.condition()))
                .map(
                        m ->
                                new Member(
                                        m.name(),
                                        m.type(),
                                        m.optional(),
                                        Condition.ALWAYS,
                                        features(m.features())))
                .toList();
    }

    private List<Branch> branches(List<Branch> branches) {
        return branches.stream().filter(b -> keep(b.condition())).toList();
    }

    private Definition.Arguments arguments(Definition.Arguments arguments) {
        return new Definition.Arguments(
                arguments.type(), members(arguments.members()), arguments.boxed());
    }
}
