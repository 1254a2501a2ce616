package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.FieldSpec;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.ParameterSpec;
import com.palantir.javapoet.TypeName;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.DocComment;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import javax.lang.model.element.Modifier;

/** Writes records with their builder, and the parts of their reader and writer. */
final class RecordEmitter {
    private final Types types;
    private final Docs docs;

    RecordEmitter(Types types, Docs docs) {
        this.types = types;
        this.docs = docs;
    }

    /** A component; those of branch data have no wire name. */
    record Component(String name, TypeName type, String doc, Member member) {}

    List<Component> components(List<Member> members, List<DocComment> doc) {
        List<Component> result = new ArrayList<>();
        Set<String> taken = new HashSet<>();
        for (Member member : members) {
            result.add(
                    new Component(
                            JavaNames.unique(JavaNames.member(member.name()), taken),
                            types.of(member),
                            docs.member(doc, member.name()),
                            member));
        }
        return result;
    }

    /** A component besides those that the schema names. */
    static Component extra(String name, TypeName type, String doc) {
        Member member =
                new Member(name, new TypeRef("any", false), false, Condition.ALWAYS, List.of());
        return new Component(name, type, doc, member);
    }

    /** The component that holds the members of a branch, or of a boxed type. */
    Component data(String name, String type) {
        return extra(name, types.named(type), "the branch's own members");
    }

    /** The record with its components, its builder and its compact constructor. */
    TypeSpec.Builder record(ClassName self, List<Component> components, CodeBlock javadoc) {
        TypeSpec.Builder type =
                TypeSpec.recordBuilder(self).addModifiers(Modifier.PUBLIC).addJavadoc(javadoc);
        MethodSpec.Builder constructor =
                MethodSpec.constructorBuilder().addModifiers(Modifier.PUBLIC);
        CodeBlock.Builder copies = CodeBlock.builder();
        if (!components.isEmpty()) {
            type.addJavadoc("\n");
        }
        for (Component component : components) {
            constructor.addParameter(
                    ParameterSpec.builder(component.type(), component.name())
                            .addAnnotations(docs.features(component.member().features(), true))
                            .build());
            type.addJavadoc("@param $L $L\n", component.name(), component.doc());
            if (component.member().type().array()) {
                if (component.member().optional()) {
                    copies.addStatement(
                            "$1L = $1L == null ? null : $2T.copyOf($1L)",
                            component.name(),
                            List.class);
                } else {
                    copies.addStatement("$1L = $2T.copyOf($1L)", component.name(), List.class);
                }
            }
        }
        type.recordConstructor(constructor.build());
        if (!copies.isEmpty()) {
            type.addMethod(
                    MethodSpec.compactConstructorBuilder()
                            .addModifiers(Modifier.PUBLIC)
                            .addJavadoc("Copies lists, so that the value cannot change.\n")
                            .addCode(copies.build())
                            .build());
        }
        if (!components.isEmpty()) {
            builder(self, type, components);
        }
        return type;
    }

    private void builder(ClassName self, TypeSpec.Builder type, List<Component> components) {
        ClassName builder = self.nestedClass("Builder");
        type.addMethod(
                MethodSpec.methodBuilder("builder")
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                        .returns(builder)
                        .addJavadoc("A builder without any member set.\n")
                        .addStatement("return new $T()", builder)
                        .build());
        TypeSpec.Builder spec =
                TypeSpec.classBuilder(builder)
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC, Modifier.FINAL)
                        .addJavadoc("Collects the members of a {@link $T}.\n", self)
                        .addMethod(
                                MethodSpec.constructorBuilder()
                                        .addModifiers(Modifier.PRIVATE)
                                        .build());
        CodeBlock.Builder arguments = CodeBlock.builder();
        MethodSpec.Builder build =
                MethodSpec.methodBuilder("build")
                        .addModifiers(Modifier.PUBLIC)
                        .returns(self)
                        .addJavadoc(
                                "Makes the value.\n\n@throws IllegalStateException when a member"
                                        + " that is not optional is missing\n");
        boolean first = true;
        for (Component component : components) {
            TypeName plain = component.type().withoutAnnotations();
            TypeName field = Types.nullable(plain.isPrimitive() ? plain.box() : plain);
            String name = component.name();
            spec.addField(FieldSpec.builder(field, name, Modifier.PRIVATE).build());
            spec.addMethod(
                    MethodSpec.methodBuilder(name.equals("build") ? "build_" : name)
                            .addModifiers(Modifier.PUBLIC)
                            .addAnnotations(docs.features(component.member().features(), true))
                            .addParameter(component.type(), name)
                            .returns(builder)
                            .addJavadoc("Sets $L\n", component.doc())
                            .addStatement("this.$1L = $1L", name)
                            .addStatement("return this")
                            .build());
            if (!component.member().optional()) {
                build.beginControlFlow("if (this.$L == null)", name)
                        .addStatement(
                                "throw new $T($S)",
                                IllegalStateException.class,
                                "Member '" + component.member().name() + "' is not set.")
                        .endControlFlow();
            }
            arguments.add(first ? "this.$L" : ", this.$L", name);
            first = false;
        }
        build.addStatement("return new $T($L)", self, arguments.build());
        type.addType(spec.addMethod(build.build()).build());
    }

    /** Statements that read members into local variables of their names. */
    CodeBlock readLocals(List<Component> components) {
        CodeBlock.Builder code = CodeBlock.builder();
        for (Component component : components) {
            Member member = component.member();
            CodeBlock name = CodeBlock.of("$S", member.name());
            CodeBlock read = types.read(member.type(), name);
            if (member.optional()) {
                code.addStatement(
                        "$T $L = visitor.has($L) ? $L : null",
                        component.type(),
                        component.name(),
                        name,
                        read);
            } else {
                code.addStatement("$T $L = $L", component.type(), component.name(), read);
            }
        }
        return code.build();
    }

    /** Statements that write members through their accessors. */
    CodeBlock writeMembers(List<Component> components) {
        CodeBlock.Builder code = CodeBlock.builder();
        for (Component component : components) {
            Member member = component.member();
            CodeBlock name = CodeBlock.of("$S", member.name());
            CodeBlock value = CodeBlock.of("this.$L", component.name());
            CodeBlock write = types.write(member.type(), name, value);
            if (member.optional()) {
                code.beginControlFlow("if ($L != null)", value);
                code.addStatement(write);
                code.endControlFlow();
            } else {
                code.addStatement(write);
            }
        }
        return code.build();
    }

    static CodeBlock names(List<Component> components) {
        return components.stream()
                .map(c -> CodeBlock.of("$L", c.name()))
                .collect(CodeBlock.joining(", "));
    }

    /** {@code static T read(visitor, name)} around {@code readMembers}. */
    static MethodSpec read(TypeName self) {
        return MethodSpec.methodBuilder("read")
                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                .addJavadoc(
                        "Reads a value.\n\n@throws QmpException naming the member that is missing,"
                                + " unexpected or ill-typed\n")
                .addParameter(Support.INPUT, "visitor")
                .addParameter(Types.nullable(ClassName.get(String.class)), "name")
                .addException(Support.EXCEPTION)
                .returns(self)
                .addStatement("visitor.startStruct(name)")
                .addStatement("$T result = readMembers(visitor)", self)
                .addStatement("visitor.endStruct()")
                .addStatement("return result")
                .build();
    }

    static MethodSpec.Builder readMembers(TypeName self) {
        return MethodSpec.methodBuilder("readMembers")
                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                .addJavadoc("Reads the members out of an object that has been started.\n")
                .addParameter(Support.INPUT, "visitor")
                .addException(Support.EXCEPTION)
                .returns(self);
    }

    /** {@code write(visitor, name)} around {@code writeMembers}. */
    static MethodSpec.Builder write() {
        return MethodSpec.methodBuilder("write")
                .addModifiers(Modifier.PUBLIC)
                .addJavadoc("Writes the value.\n")
                .addParameter(Support.OUTPUT, "visitor")
                .addParameter(Types.nullable(ClassName.get(String.class)), "name")
                .addStatement("visitor.startStruct(name)")
                .addStatement("writeMembers(visitor)")
                .addStatement("visitor.endStruct()");
    }

    static MethodSpec.Builder writeMembersMethod() {
        return MethodSpec.methodBuilder("writeMembers")
                .addModifiers(Modifier.PUBLIC)
                .addJavadoc("Writes the members into an object that has been started.\n")
                .addParameter(Support.OUTPUT, "visitor");
    }

    /** A whole struct record. */
    TypeSpec.Builder struct(
            ClassName self, List<Member> members, List<DocComment> doc, CodeBlock javadoc) {
        List<Component> components = components(members, doc);
        return record(self, components, javadoc)
                .addMethod(read(self))
                .addMethod(
                        readMembers(self)
                                .addCode(readLocals(components))
                                .addStatement("return new $T($L)", self, names(components))
                                .build())
                .addMethod(write().build())
                .addMethod(writeMembersMethod().addCode(writeMembers(components)).build());
    }
}
