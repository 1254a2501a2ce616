package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.FieldSpec;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.ParameterizedTypeName;
import com.palantir.javapoet.TypeName;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
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
import java.util.Optional;
import java.util.Set;

import javax.lang.model.element.Modifier;

/** Writes enumerations, structs, unions and alternates. */
final class TypeEmitter {
    private final Schema schema;
    private final Types types;
    private final Docs docs;
    private final RecordEmitter records;

    TypeEmitter(Schema schema, Types types, Docs docs) {
        this.schema = schema;
        this.types = types;
        this.docs = docs;
        this.records = new RecordEmitter(types, docs);
    }

    TypeSpec.Builder emit(Definition.Type type) {
        TypeSpec.Builder spec;
        if (type instanceof Definition.EnumType enumeration) {
            spec = enumeration(enumeration);
        } else if (type instanceof Definition.StructType struct) {
            spec = struct(struct);
        } else if (type instanceof Definition.UnionType union) {
            spec = union(union);
        } else {
            spec = alternate((Definition.AlternateType) type);
        }
        return spec.addAnnotations(docs.features(type.head().features(), true));
    }

    private TypeSpec.Builder enumeration(Definition.EnumType type) {
        ClassName self = types.named(type.name());
        TypeSpec.Builder spec =
                TypeSpec.enumBuilder(self)
                        .addModifiers(Modifier.PUBLIC)
                        .addJavadoc(docs.definition(type, "Values of " + type.name() + "."));
        Map<String, String> constants = JavaNames.constants(type);
        CodeBlock.Builder cases = CodeBlock.builder();
        cases.beginControlFlow("return switch (wireName)");
        for (EnumValue value : type.values()) {
            String constant = constants.get(value.name());
            spec.addEnumConstant(
                    constant,
                    TypeSpec.anonymousClassBuilder("$S", value.name())
                            .addJavadoc("$L\n", docs.member(Docs.chain(schema, type), value.name()))
                            .addAnnotations(docs.features(value.features(), true))
                            .build());
            cases.addStatement("case $S -> $L", value.name(), constant);
        }
        cases.addStatement("default -> null");
        cases.unindent().addStatement("}");
        spec.addEnumConstant(
                JavaNames.UNRECOGNIZED_CONSTANT,
                TypeSpec.anonymousClassBuilder("$S", "")
                        .addJavadoc(
                                "What a client reads for a value that the schema lacks; never"
                                        + " written.\n")
                        .build());
        TypeName string = ClassName.get(String.class);
        return spec.addField(
                        FieldSpec.builder(string, "wireName", Modifier.PRIVATE, Modifier.FINAL)
                                .build())
                .addMethod(
                        MethodSpec.constructorBuilder()
                                .addParameter(string, "wireName")
                                .addStatement("this.wireName = wireName")
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("wireName")
                                .addModifiers(Modifier.PUBLIC)
                                .addJavadoc(
                                        "The name on the wire; empty for {@link #$L}.\n",
                                        JavaNames.UNRECOGNIZED_CONSTANT)
                                .returns(string)
                                .addStatement("return wireName")
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("known")
                                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                                .addJavadoc("The values that the schema has, in its order.\n")
                                .returns(ParameterizedTypeName.get(ClassName.get(List.class), self))
                                .addStatement(
                                        "return $T.of(values()).subList(0, $L.ordinal())",
                                        List.class,
                                        JavaNames.UNRECOGNIZED_CONSTANT)
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("find")
                                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                                .addJavadoc(
                                        "The value of a wire name, or null for an unknown one.\n")
                                .addParameter(string, "wireName")
                                .returns(Types.nullable(self))
                                .addCode(cases.build())
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("read")
                                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                                .addJavadoc(
                                        "Reads a value.\n\n"
                                                + "@throws QmpException when it is not one\n")
                                .addParameter(Support.INPUT, "visitor")
                                .addParameter(Types.nullable(string), "name")
                                .addException(Support.EXCEPTION)
                                .returns(self)
                                .addStatement(
                                        "return visitor.enumeration(name, $T::find, $L)",
                                        self,
                                        JavaNames.UNRECOGNIZED_CONSTANT)
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("write")
                                .addModifiers(Modifier.PUBLIC)
                                .addJavadoc(
                                        "Writes the value.\n\n"
                                            + "@throws IllegalStateException when the schema lacks"
                                            + " it\n")
                                .addParameter(Support.OUTPUT, "visitor")
                                .addParameter(Types.nullable(string), "name")
                                .beginControlFlow(
                                        "if (this == $L)", JavaNames.UNRECOGNIZED_CONSTANT)
                                .addStatement(cannotWrite("value"))
                                .endControlFlow()
                                .addStatement("visitor.string(name, wireName)")
                                .build());
    }

    private static CodeBlock cannotWrite(String what) {
        return CodeBlock.of(
                "throw new $T($S)",
                IllegalStateException.class,
                "A " + what + " that the schema lacks cannot be written.");
    }

    private TypeSpec.Builder struct(Definition.StructType type) {
        TypeSpec.Builder spec =
                records.struct(
                        types.named(type.name()),
                        schema.commonMembers(type.name()),
                        Docs.chain(schema, type),
                        docs.definition(type, "A " + type.name() + "."));
        ClassName own = types.members(type.name());
        addSuperinterface(spec, own == null ? types.members(type.base()) : own);
        return spec;
    }

    /** The interface through which what shares the members of a base can be handled once. */
    Optional<TypeSpec.Builder> members(Definition.Type type) {
        ClassName self = types.members(type.name());
        if (self == null) {
            return Optional.empty();
        }
        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(self)
                        .addModifiers(Modifier.PUBLIC)
                        .addJavadoc(
                                "What a {@link $T} has, and all that have it as their base.\n",
                                types.named(type.name()));
        addSuperinterface(spec, types.members(type.base()));
        accessors(spec, records.components(type.ownMembers(), Docs.chain(schema, type)));
        return Optional.of(spec);
    }

    private static void addSuperinterface(TypeSpec.Builder spec, @Nullable ClassName type) {
        if (type != null) {
            spec.addSuperinterface(type);
        }
    }

    private void accessors(TypeSpec.Builder spec, List<RecordEmitter.Component> components) {
        for (RecordEmitter.Component component : components) {
            spec.addMethod(
                    MethodSpec.methodBuilder(component.name())
                            .addModifiers(Modifier.PUBLIC, Modifier.ABSTRACT)
                            .addJavadoc("Gives $L\n", component.doc())
                            .addAnnotations(docs.features(component.member().features(), true))
                            .returns(component.type())
                            .build());
        }
    }

    private TypeSpec.Builder union(Definition.UnionType type) {
        ClassName self = types.named(type.name());
        List<DocComment> doc = Docs.chain(schema, type);
        List<Member> common = schema.commonMembers(type.name());
        Definition.EnumType tagType = schema.discriminatorType(type);
        ClassName tagClass = types.named(tagType.name());
        List<RecordEmitter.Component> base = records.components(common, doc);
        String tag =
                base.stream()
                        .filter(c -> c.member().name().equals(type.discriminator()))
                        .map(RecordEmitter.Component::name)
                        .findFirst()
                        .orElseThrow();
        List<RecordEmitter.Component> untagged =
                base.stream().filter(c -> !c.member().name().equals(type.discriminator())).toList();
        Map<String, Branch> branches = new LinkedHashMap<>();
        type.branches().forEach(b -> branches.put(b.name(), b));
        Map<String, String> constants = JavaNames.constants(tagType);
        Map<String, String> branchNames =
                JavaNames.branches(
                        self.simpleName(), tagType.values().stream().map(EnumValue::name));
        Set<String> taken = new HashSet<>();
        base.forEach(c -> taken.add(c.name()));
        String dataName = taken.contains("data") ? "branchData" : "data";
        dataName = JavaNames.unique(dataName, taken);

        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(self)
                        .addModifiers(Modifier.PUBLIC, Modifier.SEALED)
                        .addJavadoc(docs.definition(type, "A " + type.name() + "."));
        addSuperinterface(spec, types.members(type.base()));
        accessors(spec, base);
        spec.addMethod(RecordEmitter.read(self));
        spec.addMethod(RecordEmitter.writeMembersMethod().addModifiers(Modifier.ABSTRACT).build());
        spec.addMethod(RecordEmitter.write().addModifiers(Modifier.DEFAULT).build());

        CodeBlock.Builder cases = CodeBlock.builder();
        cases.beginControlFlow("return switch ($L)", tag);
        for (EnumValue value : tagType.values()) {
            Branch branch = branches.get(value.name());
            ClassName name = self.nestedClass(branchNames.get(value.name()));
            List<RecordEmitter.Component> all = new ArrayList<>(untagged);
            CodeBlock arguments = RecordEmitter.names(untagged);
            CodeBlock dataWrite = CodeBlock.of("");
            if (branch != null) {
                all.add(records.data(dataName, branch.type().name()));
                CodeBlock data =
                        CodeBlock.of("$T.readMembers(visitor)", types.named(branch.type().name()));
                arguments = untagged.isEmpty() ? data : CodeBlock.of("$L, $L", arguments, data);
                dataWrite =
                        CodeBlock.builder()
                                .addStatement("this.$L.writeMembers(visitor)", dataName)
                                .build();
            }
            String constant = constants.get(value.name());
            cases.addStatement("case $L -> new $T($L)", constant, name, arguments);
            CodeBlock writes = branchWrites(base, type.discriminator(), tag);
            spec.addType(
                    records.record(
                                    name,
                                    all,
                                    CodeBlock.of("The branch for <code>$L</code>.\n", value.name()))
                            .addModifiers(Modifier.STATIC)
                            .addSuperinterface(self)
                            .addMethod(tagMethod(tag, tagClass, constant))
                            .addMethod(
                                    RecordEmitter.writeMembersMethod()
                                            .addAnnotation(Override.class)
                                            .addCode(writes)
                                            .addCode(dataWrite)
                                            .build())
                            .build());
        }
        ClassName unrecognized = self.nestedClass(JavaNames.UNRECOGNIZED_BRANCH);
        List<RecordEmitter.Component> all = new ArrayList<>(untagged);
        all.add(
                RecordEmitter.extra(
                        dataName, Support.JSON_OBJECT, "the whole object, with what tells them"));
        CodeBlock object = CodeBlock.of("visitor.object()");
        cases.addStatement(
                "case $L -> new $T($L)",
                JavaNames.UNRECOGNIZED_CONSTANT,
                unrecognized,
                untagged.isEmpty()
                        ? object
                        : CodeBlock.of("$L, $L", RecordEmitter.names(untagged), object));
        spec.addType(
                records.record(
                                unrecognized,
                                all,
                                CodeBlock.of(
                                        "What a client reads for a branch that the schema lacks;"
                                                + " never written.\n"))
                        .addModifiers(Modifier.STATIC)
                        .addSuperinterface(self)
                        .addMethod(tagMethod(tag, tagClass, JavaNames.UNRECOGNIZED_CONSTANT))
                        .addMethod(
                                RecordEmitter.writeMembersMethod()
                                        .addAnnotation(Override.class)
                                        .addStatement(cannotWrite("branch"))
                                        .build())
                        .build());
        cases.unindent().addStatement("}");
        return spec.addMethod(
                RecordEmitter.readMembers(self)
                        .addCode(records.readLocals(base))
                        .addCode(cases.build())
                        .build());
    }

    private static MethodSpec tagMethod(String tag, ClassName tagClass, String constant) {
        return MethodSpec.methodBuilder(tag)
                .addAnnotation(Override.class)
                .addModifiers(Modifier.PUBLIC)
                .returns(tagClass)
                .addStatement("return $T.$L", tagClass, constant)
                .build();
    }

    private CodeBlock branchWrites(
            List<RecordEmitter.Component> base, String discriminator, String tag) {
        CodeBlock.Builder code = CodeBlock.builder();
        for (RecordEmitter.Component component : base) {
            if (component.member().name().equals(discriminator)) {
                code.addStatement("$L().write(visitor, $S)", tag, discriminator);
            } else {
                code.add(records.writeMembers(List.of(component)));
            }
        }
        return code.build();
    }

    private TypeSpec.Builder alternate(Definition.AlternateType type) {
        ClassName self = types.named(type.name());
        TypeName name = Types.nullable(ClassName.get(String.class));
        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(self)
                        .addModifiers(Modifier.PUBLIC, Modifier.SEALED)
                        .addJavadoc(docs.definition(type, "A " + type.name() + "."))
                        .addMethod(
                                MethodSpec.methodBuilder("write")
                                        .addModifiers(Modifier.PUBLIC, Modifier.ABSTRACT)
                                        .addJavadoc("Writes the value.\n")
                                        .addParameter(Support.OUTPUT, "visitor")
                                        .addParameter(name, "name")
                                        .build());
        CodeBlock.Builder cases = CodeBlock.builder();
        cases.beginControlFlow("return switch (visitor.kind(name))");
        Map<String, String> branchNames =
                JavaNames.branches(self.simpleName(), type.branches().stream().map(Branch::name));
        for (Branch branch : type.branches()) {
            ClassName branchName = self.nestedClass(branchNames.get(branch.name()));
            cases.addStatement(
                    "case $L -> new $T($L)",
                    kind(branch.type()),
                    branchName,
                    types.read(branch.type(), CodeBlock.of("name")));
            CodeBlock write =
                    types.write(branch.type(), CodeBlock.of("name"), CodeBlock.of("this.value"));
            spec.addType(
                    alternative(
                            self,
                            branchName,
                            CodeBlock.of(
                                    "The alternative <code>$L</code>.\n\n@param value $L\n",
                                    branch.name(),
                                    docs.member(Docs.chain(schema, type), branch.name())),
                            types.of(branch.type()),
                            write));
        }
        ClassName unrecognized = self.nestedClass(JavaNames.UNRECOGNIZED_BRANCH);
        cases.addStatement(
                "default -> new $T(visitor.alternative(name, $S))", unrecognized, type.name());
        cases.unindent().addStatement("}");
        spec.addType(
                alternative(
                        self,
                        unrecognized,
                        CodeBlock.of(
                                "What a client reads for an alternative that the schema"
                                        + " lacks.\n\n@param value the value\n"),
                        Support.JSON_VALUE,
                        CodeBlock.of("visitor.any(name, this.value)")));
        return spec.addMethod(
                MethodSpec.methodBuilder("read")
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                        .addJavadoc(
                                "Reads a value, choosing by its JSON type.\n\n@throws QmpException"
                                        + " when no alternative has it\n")
                        .addParameter(Support.INPUT, "visitor")
                        .addParameter(name, "name")
                        .addException(Support.EXCEPTION)
                        .returns(self)
                        .addCode(cases.build())
                        .build());
    }

    private static TypeSpec alternative(
            ClassName self, ClassName name, CodeBlock javadoc, TypeName value, CodeBlock write) {
        return TypeSpec.recordBuilder(name)
                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                .addJavadoc(javadoc)
                .recordConstructor(
                        MethodSpec.constructorBuilder()
                                .addModifiers(Modifier.PUBLIC)
                                .addParameter(value, "value")
                                .build())
                .addSuperinterface(self)
                .addMethod(
                        MethodSpec.methodBuilder("write")
                                .addAnnotation(Override.class)
                                .addModifiers(Modifier.PUBLIC)
                                .addParameter(Support.OUTPUT, "visitor")
                                .addParameter(Types.nullable(ClassName.get(String.class)), "name")
                                .addStatement(write)
                                .build())
                .build();
    }

    private String kind(TypeRef type) {
        if (type.array()) {
            return "ARRAY";
        }
        Optional<BuiltinType> builtin = Schema.builtin(type.name());
        if (builtin.isPresent()) {
            return switch (builtin.get()) {
                case STR -> "STRING";
                case BOOL -> "BOOLEAN";
                case NULL -> "NULL";
                default -> "NUMBER";
            };
        }
        return schema.type(type.name()) instanceof Definition.EnumType ? "STRING" : "OBJECT";
    }
}
