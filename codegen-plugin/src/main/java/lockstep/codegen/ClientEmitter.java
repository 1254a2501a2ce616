package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.ParameterizedTypeName;
import com.palantir.javapoet.TypeName;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;

import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

import javax.lang.model.element.Modifier;

/** Writes the client's methods: an interface for each module, and the class that has them all. */
final class ClientEmitter {
    /** What the class inherits, and what commands must therefore not be called in Java. */
    private static final Set<String> INHERITED =
            Set.of(
                    "builder",
                    "caller",
                    "close",
                    "connect",
                    "outOfBand",
                    "qmp",
                    "with",
                    "withDescriptors",
                    "withTimeout");

    private final Types types;
    private final Docs docs;
    private final ClassName all;
    private final TypeSpec.Builder client;
    private final Set<String> taken = new HashSet<>(INHERITED);

    ClientEmitter(Types types, Docs docs) {
        this.types = types;
        this.docs = docs;
        this.all = types.inPackage("Client");
        this.client = TypeSpec.classBuilder(all);
    }

    /** The interface of a module's commands. */
    TypeSpec.Builder module(Schema.Module module, List<Definition.Command> commands) {
        ClassName self = types.client(module);
        client.addSuperinterface(self);
        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(self)
                        .addModifiers(Modifier.PUBLIC)
                        .addJavadoc(
                                "Runs the commands of <code>$L</code>: each by a method that waits,"
                                        + " and by one that does not. See {@link $T} for what they"
                                        + " throw.\n",
                                module.name(),
                                Support.CALLER)
                        .addMethod(
                                MethodSpec.methodBuilder("caller")
                                        .addModifiers(Modifier.PUBLIC, Modifier.ABSTRACT)
                                        .addJavadoc("What runs the commands.\n")
                                        .returns(Support.CALLER)
                                        .build());
        for (Definition.Command command : commands) {
            command(types.commands(module), command, spec);
        }
        return spec;
    }

    private void command(ClassName owner, Definition.Command command, TypeSpec.Builder spec) {
        String name = JavaNames.unique(JavaNames.member(command.name()), taken);
        String later = JavaNames.unique(name + "Async", taken);
        TypeName arguments = types.arguments(command);
        boolean none = arguments.equals(Support.EMPTY);
        TypeRef returns = command.returns();
        TypeName result = returns == null ? Support.EMPTY : types.of(returns);
        CodeBlock call =
                none
                        ? CodeBlock.of("$T.$L", owner, JavaNames.constant(command.name()))
                        : CodeBlock.of(
                                "$T.$L, arguments", owner, JavaNames.constant(command.name()));

        MethodSpec.Builder waiting =
                method(name, command, arguments)
                        .addJavadoc(docs.definition(command, "Runs " + command.name() + "."))
                        .addException(Support.EXCEPTION)
                        .addException(IOException.class)
                        .returns(returns == null ? TypeName.VOID : result)
                        .addStatement(
                                returns == null
                                        ? "caller().execute($L)"
                                        : "return caller().execute($L)",
                                call);
        MethodSpec.Builder async =
                method(later, command, arguments)
                        .addJavadoc("Runs <code>$L</code> without waiting.\n", command.name())
                        .returns(
                                ParameterizedTypeName.get(
                                        ClassName.get(CompletableFuture.class), result.box()))
                        .addStatement("return caller().executeAsync($L)", call);
        spec.addMethod(waiting.build()).addMethod(async.build());
    }

    private MethodSpec.Builder method(String name, Definition.Command command, TypeName arguments) {
        MethodSpec.Builder method =
                MethodSpec.methodBuilder(name)
                        .addModifiers(Modifier.PUBLIC, Modifier.DEFAULT)
                        .addAnnotations(docs.features(command.head().features(), true));
        return arguments.equals(Support.EMPTY)
                ? method
                : method.addParameter(arguments, "arguments");
    }

    /** The class of all commands, after the modules. */
    TypeSpec.Builder all(boolean hasEvents) {
        CodeBlock builder =
                hasEvents
                        ? CodeBlock.of(
                                "$T.builder(address).events($T::read)",
                                Support.CLIENT,
                                types.inPackage("Event"))
                        : CodeBlock.of("$T.builder(address)", Support.CLIENT);
        return client.addModifiers(Modifier.PUBLIC, Modifier.FINAL)
                .superclass(ParameterizedTypeName.get(Support.TYPED_CLIENT, all))
                .addJavadoc(
                        "A client with a method for each command of the schema; see {@link $T} for"
                                + " threads and the life of its connection.\n",
                        Support.CLIENT)
                .addMethod(
                        MethodSpec.constructorBuilder()
                                .addModifiers(Modifier.PUBLIC)
                                .addJavadoc("Gives a client the methods of this schema.\n")
                                .addParameter(Support.CLIENT, "qmp")
                                .addStatement("this(qmp, qmp)")
                                .build())
                .addMethod(
                        MethodSpec.constructorBuilder()
                                .addModifiers(Modifier.PRIVATE)
                                .addParameter(Support.CLIENT, "qmp")
                                .addParameter(Support.CALLER, "caller")
                                .addStatement("super(qmp, caller)")
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("connect")
                                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                                .addJavadoc(
                                        "Connects with the defaults.\n\n@throws IOException when"
                                                + " that fails\n")
                                .addParameter(Support.ADDRESS, "address")
                                .addException(IOException.class)
                                .returns(all)
                                .addStatement("return new $T(builder(address).connect())", all)
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("builder")
                                .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                                .addJavadoc(
                                        "A client to be set up, with the events of this schema;"
                                                + " what it connects is for the constructor.\n")
                                .addParameter(Support.ADDRESS, "address")
                                .returns(Support.CLIENT.nestedClass("Builder"))
                                .addStatement("return $L", builder)
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("with")
                                .addAnnotation(Override.class)
                                .addModifiers(Modifier.PROTECTED)
                                .addParameter(Support.CALLER, "caller")
                                .returns(all)
                                .addStatement("return new $T(qmp(), caller)", all)
                                .build());
    }
}
