package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.TypeSpec;

import java.util.ArrayList;
import java.util.List;

import javax.lang.model.element.Modifier;

/** Writes the class that holds the introspection data. */
final class IntrospectionEmitter {
    /** A string constant in a class file holds 65535 bytes at most. */
    private static final int PART = 30_000;

    private IntrospectionEmitter() {}

    static TypeSpec.Builder emit(ClassName self, List<String> entries) {
        TypeSpec.Builder spec =
                TypeSpec.classBuilder(self)
                        .addModifiers(Modifier.PUBLIC, Modifier.FINAL)
                        .addJavadoc("The schema as data: what query-qmp-schema answers.\n")
                        .addMethod(
                                MethodSpec.constructorBuilder()
                                        .addModifiers(Modifier.PRIVATE)
                                        .build());
        List<String> parts = parts(entries);
        MethodSpec.Builder read =
                MethodSpec.methodBuilder("schemaInfo")
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                        .addJavadoc("The array of SchemaInfo objects, made anew by each call.\n")
                        .returns(Support.JSON_ARRAY)
                        .addStatement("$1T json = new $1T()", StringBuilder.class);
        for (int i = 0; i < parts.size(); i++) {
            read.addStatement("json.append(part$L())", i);
            spec.addMethod(
                    MethodSpec.methodBuilder("part" + i)
                            .addModifiers(Modifier.PRIVATE, Modifier.STATIC)
                            .returns(String.class)
                            .addStatement("return $S", parts.get(i))
                            .build());
        }
        read.beginControlFlow("try")
                .addStatement(
                        "return ($T) $T.parse(json.toString())",
                        Support.JSON_ARRAY,
                        Support.JSON_PARSER)
                .nextControlFlow("catch ($T e)", Support.EXCEPTION)
                .addStatement("throw new $T(e)", AssertionError.class)
                .endControlFlow();
        return spec.addMethod(read.build());
    }

    private static List<String> parts(List<String> entries) {
        String all = "[" + String.join(", ", entries) + "]";
        List<String> parts = new ArrayList<>();
        for (int at = 0; at < all.length(); at += PART) {
            parts.add(all.substring(at, Math.min(all.length(), at + PART)));
        }
        return parts;
    }
}
