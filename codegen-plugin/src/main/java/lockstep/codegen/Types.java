package lockstep.codegen;

import com.palantir.javapoet.AnnotationSpec;
import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.ParameterizedTypeName;
import com.palantir.javapoet.TypeName;

import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;

import org.jspecify.annotations.Nullable;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/** The Java types of schema types, and the code that reads and writes them. */
final class Types {
    private final String javaPackage;
    private final Set<String> taken = new HashSet<>();
    private final Map<String, ClassName> names = new HashMap<>();
    private boolean usesQType;

    /** Types keep their plain names; where two names become one in Java, what is not a type yields. */
    Types(String javaPackage, Schema schema) {
        this.javaPackage = javaPackage;
        schema.definitions()
                .filter(Definition.Type.class::isInstance)
                .forEach(type -> name(type.name(), JavaNames.type(type.name())));
        name(Schema.QTYPE.name(), Schema.QTYPE.name());
        schema.definitions()
                .map(Definition::base)
                .filter(Objects::nonNull)
                .distinct()
                .forEach(base -> name(base + " members", JavaNames.type(base) + "Members"));
        for (Schema.Module module : schema.modules()) {
            name(module.name() + " module", JavaNames.module(module.name()) + "Commands");
            name(module.name() + " client", JavaNames.module(module.name()) + "Client");
        }
        schema.definitions()
                .forEach(
                        definition -> {
                            if (definition instanceof Definition.Command command) {
                                name(key(command), JavaNames.type(command.name()) + "Arguments");
                            } else if (definition instanceof Definition.Event event) {
                                name(key(event), JavaNames.event(event.name()));
                            }
                        });
    }

    private static String key(Definition definition) {
        return definition.name() + " " + definition.meta();
    }

    private void name(String key, String wanted) {
        names.put(key, inPackage(JavaNames.unique(wanted, taken)));
    }

    /** The class of a type. */
    ClassName named(String schemaName) {
        usesQType |= schemaName.equals(Schema.QTYPE.name());
        return Objects.requireNonNull(names.get(schemaName), schemaName);
    }

    /** The interface over all that has the members of a struct as its base; null if nothing has. */
    @Nullable ClassName members(@Nullable String schemaName) {
        return names.get(schemaName + " members");
    }

    /** The class of an event, or of the arguments of a command given inline. */
    ClassName named(Definition definition) {
        return Objects.requireNonNull(names.get(key(definition)), definition.name());
    }

    /** The interface of the commands of a module. */
    ClassName commands(Schema.Module module) {
        return Objects.requireNonNull(names.get(module.name() + " module"), module.name());
    }

    /** The interface of a client for the commands of a module. */
    ClassName client(Schema.Module module) {
        return Objects.requireNonNull(names.get(module.name() + " client"), module.name());
    }

    /** The type of a command's arguments. */
    TypeName arguments(Definition.Command command) {
        String named = command.arguments().type();
        if (!command.generated()) {
            return Support.JSON_OBJECT;
        }
        if (command.arguments().isEmpty()) {
            return Support.EMPTY;
        }
        return named != null ? named(named) : named(command);
    }

    ClassName inPackage(String simpleName) {
        return ClassName.get(javaPackage, simpleName);
    }

    /** Whether a type was asked for that every schema has without defining it. */
    boolean usesQType() {
        return usesQType;
    }

    static TypeName nullable(TypeName type) {
        return type.annotated(AnnotationSpec.builder(Support.NULLABLE).build());
    }

    /** The type of a member: optional ones may be null. */
    TypeName of(Member member) {
        TypeName type = of(member.type());
        return member.optional() ? nullable(type.isPrimitive() ? type.box() : type) : type;
    }

    TypeName of(TypeRef ref) {
        TypeName element = element(ref.name());
        return ref.array()
                ? ParameterizedTypeName.get(ClassName.get(List.class), element.box())
                : element;
    }

    private TypeName element(String name) {
        Optional<BuiltinType> builtin = Schema.builtin(name);
        if (builtin.isEmpty()) {
            return named(name);
        }
        return switch (builtin.get()) {
            case STR -> ClassName.get(String.class);
            case NUMBER -> TypeName.DOUBLE;
            case INT8, INT16, INT32, UINT8, UINT16 -> TypeName.INT;
            case INT, INT64, UINT32, UINT64, SIZE -> TypeName.LONG;
            case BOOL -> TypeName.BOOLEAN;
            case ANY -> Support.JSON_VALUE;
            case NULL -> Support.JSON_NULL;
        };
    }

    private static String readMethod(BuiltinType type) {
        return switch (type) {
            case STR -> "string";
            case NUMBER -> "number";
            case INT, INT64 -> "int64";
            case INT8 -> "int8";
            case INT16 -> "int16";
            case INT32 -> "int32";
            case UINT8 -> "uint8";
            case UINT16 -> "uint16";
            case UINT32 -> "uint32";
            case UINT64 -> "uint64";
            case SIZE -> "size";
            case BOOL -> "bool";
            case ANY -> "any";
            case NULL -> "nul";
        };
    }

    private static String writeMethod(BuiltinType type) {
        return switch (type) {
            case STR -> "string";
            case NUMBER -> "number";
            case INT, INT8, INT16, INT32, INT64 -> "integer";
            case UINT8, UINT16, UINT32, UINT64, SIZE -> "unsigned";
            case BOOL -> "bool";
            case ANY, NULL -> "any";
        };
    }

    /** An expression that reads the type from {@code visitor}. */
    CodeBlock read(TypeRef ref, CodeBlock name) {
        if (ref.array()) {
            return CodeBlock.of(
                    "visitor.list($L, $L)", name, reader(new TypeRef(ref.name(), false)));
        }
        Optional<BuiltinType> builtin = Schema.builtin(ref.name());
        return builtin.isPresent()
                ? CodeBlock.of("visitor.$L($L)", readMethod(builtin.get()), name)
                : CodeBlock.of("$T.read(visitor, $L)", named(ref.name()), name);
    }

    /** A statement that writes a value of the type to {@code visitor}. */
    CodeBlock write(TypeRef ref, CodeBlock name, CodeBlock value) {
        if (ref.array()) {
            return CodeBlock.of(
                    "visitor.list($L, $L, $L)",
                    name,
                    value,
                    writer(new TypeRef(ref.name(), false)));
        }
        Optional<BuiltinType> builtin = Schema.builtin(ref.name());
        return builtin.isPresent()
                ? CodeBlock.of("visitor.$L($L, $L)", writeMethod(builtin.get()), name, value)
                : CodeBlock.of("$L.write(visitor, $L)", value, name);
    }

    /** A {@code ValueReader} of the type. */
    CodeBlock reader(TypeRef ref) {
        if (ref.array()) {
            return CodeBlock.of("(visitor, name) -> $L", read(ref, CodeBlock.of("name")));
        }
        Optional<BuiltinType> builtin = Schema.builtin(ref.name());
        return builtin.isPresent()
                ? CodeBlock.of("$T::$L", Support.INPUT, readMethod(builtin.get()))
                : CodeBlock.of("$T::read", named(ref.name()));
    }

    /** A {@code ValueWriter} of the type. */
    CodeBlock writer(TypeRef ref) {
        Optional<BuiltinType> builtin = Schema.builtin(ref.name());
        if (ref.array()) {
            return CodeBlock.of(
                    "(elements, to, key) -> to.list(key, elements, $L)",
                    writer(new TypeRef(ref.name(), false)));
        }
        // The parameters must not hide the ones of the method around.
        return builtin.isPresent()
                ? CodeBlock.of(
                        "(element, to, key) -> to.$L(key, element)", writeMethod(builtin.get()))
                : CodeBlock.of("$T::write", named(ref.name()));
    }
}
