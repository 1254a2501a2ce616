package lockstep.qapi.check;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.Pragmas;
import lockstep.qapi.syntax.SourceInfo;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Checks what each definition says about others: types used, names that clash, branches. */
final class TypeChecker {
    /** JSON types that tell the alternatives of an alternate apart. */
    private enum Shape {
        STRING,
        NUMBER,
        BOOLEAN,
        NULL,
        OBJECT,
        ARRAY
    }

    private final DefinitionTable table;
    private final ObjectShapes objects;
    private final Pragmas pragmas;
    private final ErrorLog log;

    TypeChecker(DefinitionTable table, Pragmas pragmas, ErrorLog log) {
        this.table = table;
        this.objects = new ObjectShapes(table, log);
        this.pragmas = pragmas;
        this.log = log;
    }

    void check(Definition definition) {
        SourceInfo info = definition.head().info();
        definition.ownMembers().forEach(m -> array(definition, m.type()));
        if (definition instanceof Definition.EnumType type) {
            Features.ofType(log, type);
            enumeration(type);
        } else if (definition instanceof Definition.StructType
                || definition instanceof Definition.UnionType) {
            objects.of(definition);
        } else if (definition instanceof Definition.AlternateType type) {
            type.branches().forEach(b -> array(definition, b.type()));
            Features.ofType(log, type);
            alternate(type);
        } else if (definition instanceof Definition.Command command) {
            ObjectShape inline = objects.arguments(command, command.arguments());
            TypeRef returns = command.returns();
            if (returns != null) {
                array(definition, returns);
            }
            Features.check(log, info, command.head().features(), "");
            arguments(info, "command", command.arguments(), inline);
            returns(command);
        } else if (definition instanceof Definition.Event event) {
            ObjectShape inline = objects.arguments(event, event.arguments());
            Features.check(log, info, event.head().features(), "");
            arguments(info, "event", event.arguments(), inline);
        }
    }

    /** An array's element type is looked up before all else that is said about its user. */
    private void array(Definition definition, TypeRef type) {
        if (type.array()) {
            table.resolve(type.name(), definition.head().info(), definition.meta());
        }
    }

    private void enumeration(Definition.EnumType type) {
        Clashes clashes = new Clashes();
        for (EnumValue value : type.values()) {
            String other = clashes.put(value.name(), "value '" + value.name() + "'");
            if (other != null) {
                log.report(
                        type.head().info(), "value '" + value.name() + "' collides with " + other);
            }
        }
    }

    private void alternate(Definition.AlternateType type) {
        SourceInfo info = type.head().info();
        List<Branch> known = new ArrayList<>();
        for (Branch branch : type.branches()) {
            String name = "branch '" + branch.name() + "'";
            if (objects.resolve(branch.type(), info, name)) {
                known.add(branch);
            }
        }
        Clashes clashes = new Clashes();
        Map<Shape, String> taken = new HashMap<>();
        for (Branch branch : known) {
            String name = "branch '" + branch.name() + "'";
            String other = clashes.put(branch.name(), name);
            if (other != null) {
                log.report(info, name + " collides with " + other);
            }
            Set<Shape> shapes = shapes(branch.type());
            if (shapes.isEmpty()) {
                log.report(info, name + " cannot use " + table.describe(branch.type()));
            }
            String rival = null;
            for (Shape shape : shapes) {
                rival = rival == null ? taken.get(shape) : rival;
                taken.put(shape, branch.name());
            }
            if (rival != null) {
                log.report(info, name + " can't be distinguished from '" + rival + "'");
            }
        }
    }

    /** What a value of the type may look like. Key-value text has only strings. */
    private Set<Shape> shapes(TypeRef type) {
        if (type.array()) {
            return EnumSet.of(Shape.ARRAY);
        }
        BuiltinType builtin = Schema.builtin(type.name()).orElse(null);
        if (builtin != null) {
            return switch (builtin) {
                case STR -> EnumSet.of(Shape.STRING, Shape.NUMBER, Shape.BOOLEAN);
                case BOOL -> EnumSet.of(Shape.BOOLEAN);
                case NULL -> EnumSet.of(Shape.NULL);
                case ANY -> EnumSet.noneOf(Shape.class);
                default -> EnumSet.of(Shape.NUMBER);
            };
        }
        Definition definition = table.find(type.name());
        if (definition instanceof Definition.EnumType enumeration) {
            Set<Shape> shapes = EnumSet.of(Shape.STRING);
            for (EnumValue value : enumeration.values()) {
                if (value.name().equals("on") || value.name().equals("off")) {
                    shapes.add(Shape.BOOLEAN);
                }
                if (value.name().charAt(0) >= '0' && value.name().charAt(0) <= '9') {
                    shapes.add(Shape.NUMBER);
                }
            }
            return shapes;
        }
        return definition instanceof Definition.AlternateType
                ? EnumSet.noneOf(Shape.class)
                : EnumSet.of(Shape.OBJECT);
    }

    private void arguments(
            SourceInfo info, String meta, Definition.Arguments arguments, ObjectShape inline) {
        ObjectShape shape = inline;
        String type = arguments.type();
        if (type != null) {
            if (!table.resolve(type, info, meta + "'s 'data'")) {
                return;
            }
            boolean union = table.find(type) instanceof Definition.UnionType;
            if (union && !arguments.boxed()) {
                log.report(
                        info,
                        meta
                                + "'s 'data' can take "
                                + table.describe(type)
                                + " only with 'boxed': true");
            }
            ObjectShape named = objects.of(type);
            if (named == null) {
                log.report(info, meta + "'s 'data' cannot take " + table.describe(type));
                return;
            }
            shape = named;
        }
        if (!arguments.boxed()
                && shape.members().stream()
                        .anyMatch(m -> !m.member().condition().equals(Condition.ALWAYS))) {
            log.report(info, "conditional " + meta + " arguments require 'boxed': true");
        }
    }

    private void returns(Definition.Command command) {
        TypeRef type = command.returns();
        if (type == null) {
            return;
        }
        SourceInfo info = command.head().info();
        if (objects.resolve(type, info, "command's 'returns'")
                && !pragmas.except(Pragmas.Rule.COMMAND_RETURNS, command.name())
                && !(table.find(type.name()) instanceof Definition.StructType)
                && !(table.find(type.name()) instanceof Definition.UnionType)) {
            log.report(info, "command's 'returns' cannot take " + table.describe(type));
        }
    }
}
