package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.ParameterizedTypeName;
import com.palantir.javapoet.TypeName;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.DocComment;

import java.util.List;
import java.util.Map;

import javax.lang.model.element.Modifier;

/** Writes the class that holds what the schema says of the members of its structs, for help texts. */
final class DocumentationEmitter {
    private static final TypeName TEXTS =
            ParameterizedTypeName.get(Map.class, String.class, String.class);

    private DocumentationEmitter() {}

    static TypeSpec.Builder emit(ClassName self, Schema schema, Types types) {
        CodeBlock.Builder cases =
                CodeBlock.builder().beginControlFlow("return switch (struct.getSimpleName())");
        TypeSpec.Builder spec =
                TypeSpec.classBuilder(self)
                        .addModifiers(Modifier.PUBLIC, Modifier.FINAL)
                        .addJavadoc("What the schema says of members, for texts that help users.\n")
                        .addMethod(
                                MethodSpec.constructorBuilder()
                                        .addModifiers(Modifier.PRIVATE)
                                        .build());
        schema.definitions()
                .filter(Definition.StructType.class::isInstance)
                .forEach(
                        struct -> {
                            CodeBlock entries = entries(schema, struct);
                            if (!entries.isEmpty()) {
                                String name = types.named(struct.name()).simpleName();
                                cases.addStatement("case $S -> of$L()", name, name);
                                spec.addMethod(
                                        MethodSpec.methodBuilder("of" + name)
                                                .addModifiers(Modifier.PRIVATE, Modifier.STATIC)
                                                .returns(TEXTS)
                                                .addStatement(
                                                        "return $T.ofEntries($L)",
                                                        Map.class,
                                                        entries)
                                                .build());
                            }
                        });
        cases.addStatement("default -> $T.of()", Map.class);
        cases.unindent().addStatement("}");
        return spec.addMethod(
                MethodSpec.methodBuilder("of")
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                        .addJavadoc(
                                "The text of each documented member by its wire name, those of"
                                        + " bases too.\n\n"
                                        + "@param struct a generated record\n")
                        .addParameter(
                                ParameterizedTypeName.get(
                                        ClassName.get(Class.class),
                                        com.palantir.javapoet.WildcardTypeName.subtypeOf(
                                                Record.class)),
                                "struct")
                        .returns(TEXTS)
                        .addCode(cases.build())
                        .build());
    }

    private static CodeBlock entries(Schema schema, Definition struct) {
        List<DocComment> docs = Docs.chain(schema, struct);
        return schema.commonMembers(struct.name()).stream()
                .filter(member -> !text(docs, member).isEmpty())
                .map(
                        member ->
                                CodeBlock.of(
                                        "$T.entry($S, $S)",
                                        Map.class,
                                        member.name(),
                                        text(docs, member)))
                .collect(CodeBlock.joining(", "));
    }

    private static String text(List<DocComment> docs, Member member) {
        return docs.stream()
                .map(doc -> doc.find(DocComment.Kind.MEMBER, member.name()))
                .filter(section -> section != null)
                .findFirst()
                .map(section -> section.text().strip().replaceAll("\\s+", " "))
                .orElse("");
    }
}
