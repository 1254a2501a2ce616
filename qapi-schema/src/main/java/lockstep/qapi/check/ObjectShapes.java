package lockstep.qapi.check;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Works out the shapes of object types, each once, and checks them on the way. */
final class ObjectShapes {
    /** Bases of bases and branches of branches; far above what anybody writes. */
    private static final int DEPTH_LIMIT = 500;

    private final DefinitionTable table;
    private final ErrorLog log;
    private final Map<String, ObjectShape> shapes = new HashMap<>();
    private int depth;

    ObjectShapes(DefinitionTable table, ErrorLog log) {
        this.table = table;
        this.log = log;
    }

    /** The shape of the type of that name, or null when it is not an object type. */
    @Nullable ObjectShape of(String name) {
        Definition definition = table.find(name);
        return definition == null ? null : of(definition);
    }

    /** The shape of a struct or union, or null when it is neither. */
    @Nullable ObjectShape of(Definition definition) {
        if (!(definition instanceof Definition.StructType)
                && !(definition instanceof Definition.UnionType)) {
            return null;
        }
        SourceInfo info = definition.head().info();
        ObjectShape known = shapes.get(definition.name());
        if (known != null) {
            if (!known.complete) {
                if (known.sound) {
                    log.report(info, "object " + definition.name() + " contains itself");
                }
                known.sound = false;
            }
            return known;
        }
        ObjectShape shape = new ObjectShape();
        shapes.put(definition.name(), shape);
        if (depth == DEPTH_LIMIT) {
            log.report(
                    info,
                    "object "
                            + definition.name()
                            + " nests more than "
                            + DEPTH_LIMIT
                            + " types deep");
            shape.sound = false;
            shape.complete = true;
            return shape;
        }
        depth++;
        if (definition instanceof Definition.UnionType union) {
            union(union, shape);
        } else if (definition instanceof Definition.StructType struct) {
            struct(struct, shape);
        }
        depth--;
        shape.complete = true;
        return shape;
    }

    /** The shape of arguments given inline, empty if they are not. */
    ObjectShape arguments(Definition definition, Definition.Arguments arguments) {
        ObjectShape shape = new ObjectShape();
        members(definition, arguments.members(), ObjectShape.Place.ARGUMENTS, shape);
        return shape;
    }

    /**
     * Whether the type, or that of an array's elements, is known. Array types are spoken of when the
     * definition is checked that uses them.
     */
    boolean resolve(TypeRef type, SourceInfo info, String what) {
        return type.array() ? table.isType(type.name()) : table.resolve(type.name(), info, what);
    }

    private void struct(Definition.StructType struct, ObjectShape shape) {
        Features.ofType(log, struct);
        base(struct, struct.base(), shape);
        members(struct, struct.members(), ObjectShape.Place.TYPE, shape);
    }

    private void members(
            Definition definition,
            List<Member> members,
            ObjectShape.Place place,
            ObjectShape shape) {
        SourceInfo info = definition.head().info();
        for (Member member : members) {
            ObjectShape.Owned owned = new ObjectShape.Owned(member, definition.name(), place);
            resolve(member.type(), info, owned.describe(definition.name()));
            // QEMU's generator takes the member for a type here, unless the names are equal.
            String of =
                    member.name().equals(definition.name())
                            ? ""
                            : " of type '" + member.name() + "'";
            Features.check(log, info, member.features(), of);
            add(definition, owned, shape);
        }
    }

    private void base(Definition definition, @Nullable String base, ObjectShape shape) {
        if (base == null) {
            return;
        }
        SourceInfo info = definition.head().info();
        if (!table.resolve(base, info, "'base'")) {
            shape.sound = false;
            return;
        }
        ObjectShape inherited =
                table.find(base) instanceof Definition.StructType struct ? of(struct) : null;
        if (inherited == null) {
            log.report(info, "'base' requires a struct type, " + table.describe(base) + " isn't");
            shape.sound = false;
        } else {
            shape.sound &= inherited.sound;
            inherited.members().forEach(m -> add(definition, m, shape));
        }
    }

    private void add(Definition definition, ObjectShape.Owned owned, ObjectShape shape) {
        ObjectShape.Owned other =
                shape.byIdentifier.putIfAbsent(Names.identifier(owned.member().name()), owned);
        if (other != null) {
            log.report(
                    definition.head().info(),
                    owned.describe(definition.name())
                            + " collides with "
                            + other.describe(definition.name()));
            shape.sound = false;
        }
    }

    private void union(Definition.UnionType union, ObjectShape shape) {
        // An inline base comes before the union itself.
        members(union, union.baseMembers(), ObjectShape.Place.INLINE_BASE, shape);
        Features.ofType(log, union);
        base(union, union.base(), shape);
        Definition.EnumType tag = tag(union, shape);
        SourceInfo info = union.head().info();
        if (tag != null && tag.values().isEmpty() && union.branches().isEmpty()) {
            log.report(info, "union has no branches");
        }
        Set<String> values = new HashSet<>();
        if (tag != null) {
            tag.values().forEach(v -> values.add(v.name()));
        }
        for (Branch branch : union.branches()) {
            String name = "branch '" + branch.name() + "'";
            if (!table.resolve(branch.type().name(), info, name)) {
                continue;
            }
            if (tag != null && !values.contains(branch.name())) {
                log.report(info, name + " is not a value of " + table.describe(tag.name()));
            }
            ObjectShape inner = of(branch.type().name());
            if (inner == null) {
                log.report(info, name + " cannot use " + table.describe(branch.type()));
            } else if (inner.complete) {
                shape.branches.add(inner);
            }
        }
        for (ObjectShape branch : shape.branches) {
            clash(union, branch, shape.byIdentifier);
        }
    }

    /** The enumeration that selects the branch, or null when it is not known. */
    private Definition.@Nullable EnumType tag(Definition.UnionType union, ObjectShape shape) {
        SourceInfo info = union.head().info();
        String name = union.discriminator();
        ObjectShape.Owned tag = shape.byIdentifier.get(Names.identifier(name));
        if (tag == null || !tag.member().name().equals(name)) {
            if (shape.sound) {
                log.report(info, "discriminator '" + name + "' is not a member of 'base'");
            }
            return null;
        }
        Member member = tag.member();
        String base =
                tag.place() == ObjectShape.Place.TYPE
                        ? "base type '" + tag.owner() + "'"
                        : "'base'";
        String who = "discriminator member '" + name + "' of " + base;
        if (member.type().array()
                || !(table.find(member.type().name()) instanceof Definition.EnumType type)) {
            if (member.type().array() || table.isType(member.type().name())) {
                log.report(info, who + " must be of enum type");
            }
            return null;
        }
        if (member.optional()) {
            log.report(info, who + " must not be optional");
        }
        if (!member.condition().equals(Condition.ALWAYS)) {
            log.report(info, who + " must not be conditional");
        }
        return type;
    }

    /** Notes the first member of a branch that clashes with one it stands beside. */
    private boolean clash(
            Definition.UnionType union, ObjectShape branch, Map<String, ObjectShape.Owned> outer) {
        if (branch.identifiers().stream().noneMatch(outer::containsKey)) {
            return false;
        }
        for (ObjectShape.Owned owned : branch.members()) {
            ObjectShape.Owned other = outer.get(Names.identifier(owned.member().name()));
            if (other != null) {
                log.report(
                        union.head().info(),
                        owned.describe(union.name())
                                + " collides with "
                                + other.describe(union.name()));
                return true;
            }
        }
        return branch.branches.stream().anyMatch(b -> clash(union, b, outer));
    }
}
