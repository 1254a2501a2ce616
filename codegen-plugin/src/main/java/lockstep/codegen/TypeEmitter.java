package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.FieldSpec;
import com.palantir.javapoet.MethodSpec;
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

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

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
        for (EnumValue value : type.values()) {
            spec.addEnumConstant(
                    JavaNames.constant(value.name()),
                    TypeSpec.anonymousClassBuilder("$S", value.name())
                            .addJavadoc("$L\n", docs.member(Docs.chain(schema, type), value.name()))
                            .addAnnotations(docs.features(value.features(), true))
                            .build());
        }
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
                                .addJavadoc("The name on the wire.\n")
                                .returns(string)
                                .addStatement("return wireName")
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("find")
                                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                                .addJavadoc(
                                        "The value of a wire name, or null for an unknown one.\n")
                                .addParameter(string, "wireName")
                                .returns(Types.nullable(self))
                                .beginControlFlow("for ($T value : values())", self)
                                .beginControlFlow("if (value.wireName.equals(wireName))")
                                .addStatement("return value")
                                .endControlFlow()
                                .endControlFlow()
                                .addStatement("return null")
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
                                .addStatement("return visitor.enumeration(name, $T::find)", self)
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("write")
                                .addModifiers(Modifier.PUBLIC)
                                .addJavadoc("Writes the value.\n")
                                .addParameter(Support.OUTPUT, "visitor")
                                .addParameter(Types.nullable(string), "name")
                                .addStatement("visitor.string(name, wireName)")
                                .build());
    }

    private TypeSpec.Builder struct(Definition.StructType type) {
        return records.struct(
                types.named(type.name()),
                schema.commonMembers(type.name()),
                Docs.chain(schema, type),
                docs.definition(type, "A " + type.name() + "."));
    }

    private TypeSpec.Builder union(Definition.UnionType type) {
        ClassName self = types.named(type.name());
        List<DocComment> doc = Docs.chain(schema, type);
        List<Member> common = schema.commonMembers(type.name());
        Definition.EnumType tagType = schema.discriminatorType(type);
        ClassName tagClass = types.named(tagType.name());
        String tag = JavaNames.member(type.discriminator());
        List<RecordEmitter.Component> base = records.components(common, doc);
        List<RecordEmitter.Component> untagged =
                base.stream().filter(c -> !c.member().name().equals(type.discriminator())).toList();
        Map<String, Branch> branches = new LinkedHashMap<>();
        type.branches().forEach(b -> branches.put(b.name(), b));

        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(self)
                        .addModifiers(Modifier.PUBLIC, Modifier.SEALED)
                        .addJavadoc(docs.definition(type, "A " + type.name() + "."));
        for (RecordEmitter.Component component : base) {
            spec.addMethod(
                    MethodSpec.methodBuilder(component.name())
                            .addModifiers(Modifier.PUBLIC, Modifier.ABSTRACT)
                            .addJavadoc("Gives $L\n", component.doc())
                            .returns(component.type())
                            .build());
        }
        spec.addMethod(RecordEmitter.read(self));
        spec.addMethod(RecordEmitter.writeMembersMethod().addModifiers(Modifier.ABSTRACT).build());
        spec.addMethod(RecordEmitter.write().addModifiers(Modifier.DEFAULT).build());

        CodeBlock.Builder cases = CodeBlock.builder();
        cases.beginControlFlow("return switch ($L)", tag);
        for (EnumValue value : tagType.values()) {
            Branch branch = branches.get(value.name());
            ClassName name = self.nestedClass(JavaNames.branch(self.simpleName(), value.name()));
            List<RecordEmitter.Component> all = new ArrayList<>(untagged);
            CodeBlock arguments = RecordEmitter.names(untagged);
            CodeBlock dataWrite = CodeBlock.of("");
            if (branch != null) {
                String dataName = JavaNames.data(common);
                all.add(records.data(dataName, branch.type().name()));
                CodeBlock data =
                        CodeBlock.of("$T.readMembers(visitor)", types.named(branch.type().name()));
                arguments = untagged.isEmpty() ? data : CodeBlock.of("$L, $L", arguments, data);
                dataWrite =
                        CodeBlock.builder()
                                .addStatement("this.$L.writeMembers(visitor)", dataName)
                                .build();
            }
            cases.addStatement(
                    "case $L -> new $T($L)", JavaNames.constant(value.name()), name, arguments);
            CodeBlock writes = branchWrites(base, type.discriminator(), tag);
            spec.addType(
                    records.record(
                                    name,
                                    all,
                                    CodeBlock.of("The branch for <code>$L</code>.\n", value.name()))
                            .addModifiers(Modifier.STATIC)
                            .addSuperinterface(self)
                            .addMethod(
                                    MethodSpec.methodBuilder(tag)
                                            .addAnnotation(Override.class)
                                            .addModifiers(Modifier.PUBLIC)
                                            .returns(tagClass)
                                            .addStatement(
                                                    "return $T.$L",
                                                    tagClass,
                                                    JavaNames.constant(value.name()))
                                            .build())
                            .addMethod(
                                    RecordEmitter.writeMembersMethod()
                                            .addAnnotation(Override.class)
                                            .addCode(writes)
                                            .addCode(dataWrite)
                                            .build())
                            .build());
        }
        cases.unindent().addStatement("}");
        return spec.addMethod(
                RecordEmitter.readMembers(self)
                        .addCode(records.readLocals(base))
                        .addCode(cases.build())
                        .build());
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
        for (Branch branch : type.branches()) {
            ClassName branchName =
                    self.nestedClass(JavaNames.branch(self.simpleName(), branch.name()));
            cases.addStatement(
                    "case $L -> new $T($L)",
                    kind(branch.type()),
                    branchName,
                    types.read(branch.type(), CodeBlock.of("name")));
            MethodSpec.Builder constructor =
                    MethodSpec.constructorBuilder()
                            .addModifiers(Modifier.PUBLIC)
                            .addParameter(types.of(branch.type()), "value");
            spec.addType(
                    TypeSpec.recordBuilder(branchName)
                            .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                            .addJavadoc(
                                    "The alternative <code>$L</code>.\n\n@param value $L\n",
                                    branch.name(),
                                    docs.member(Docs.chain(schema, type), branch.name()))
                            .recordConstructor(constructor.build())
                            .addSuperinterface(self)
                            .addMethod(
                                    MethodSpec.methodBuilder("write")
                                            .addAnnotation(Override.class)
                                            .addModifiers(Modifier.PUBLIC)
                                            .addParameter(Support.OUTPUT, "visitor")
                                            .addParameter(name, "name")
                                            .addStatement(
                                                    types.write(
                                                            branch.type(),
                                                            CodeBlock.of("name"),
                                                            CodeBlock.of("this.value")))
                                            .build())
                            .build());
        }
        cases.addStatement("default -> throw visitor.noAlternative(name, $S)", type.name());
        cases.unindent().addStatement("}");
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
