package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.FieldSpec;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.ParameterizedTypeName;
import com.palantir.javapoet.TypeName;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;

import java.util.ArrayList;
import java.util.List;

import javax.lang.model.element.Modifier;

/** Writes the argument records and, for each module, the interface of its commands. */
final class CommandEmitter {
    private final Schema schema;
    private final Types types;
    private final Docs docs;
    private final RecordEmitter records;

    CommandEmitter(Schema schema, Types types, Docs docs) {
        this.schema = schema;
        this.types = types;
        this.docs = docs;
        this.records = new RecordEmitter(types, docs);
    }

    /** The interface of a module's commands and the records of their inline arguments. */
    List<TypeSpec.Builder> emit(Schema.Module module, List<Definition.Command> commands) {
        List<TypeSpec.Builder> result = new ArrayList<>();
        ClassName self = types.commands(module);
        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(self)
                        .addModifiers(Modifier.PUBLIC)
                        .addJavadoc(
                                "The commands of <code>$L</code>. The constants are for clients and"
                                        + " for rooms that handle only some of the commands.\n",
                                module.name());
        MethodSpec.Builder register =
                MethodSpec.methodBuilder("register")
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                        .addJavadoc("Binds all commands of the module to one handler.\n")
                        .addParameter(Support.TABLE, "table")
                        .addParameter(self, "handler");
        for (Definition.Command command : commands) {
            if (command.generated() && !command.arguments().members().isEmpty()) {
                ClassName name = types.named(command);
                result.add(
                        records.struct(
                                name,
                                command.arguments().members(),
                                Docs.chain(schema, command),
                                CodeBlock.of("Arguments of <code>$L</code>.\n", command.name())));
            }
            command(command, spec, register);
        }
        result.add(spec.addMethod(register.build()));
        return result;
    }

    private void command(
            Definition.Command command, TypeSpec.Builder spec, MethodSpec.Builder register) {
        TypeName arguments = types.arguments(command);
        boolean noArguments = arguments.equals(Support.EMPTY);
        CodeBlock reader;
        CodeBlock writer;
        if (command.generated()) {
            reader = CodeBlock.of("$T::read", arguments);
            writer = CodeBlock.of("$T::write", arguments);
        } else {
            reader = CodeBlock.of("(visitor, name) -> ($T) visitor.any(name)", arguments);
            writer = CodeBlock.of("(value, visitor, name) -> visitor.any(name, value)");
        }
        TypeRef returns = command.returns();
        TypeName result = returns == null ? Support.EMPTY : types.of(returns).box();
        CodeBlock resultReader =
                returns == null ? CodeBlock.of("$T::read", Support.EMPTY) : types.reader(returns);
        CodeBlock resultWriter =
                returns == null ? CodeBlock.of("$T::write", Support.EMPTY) : types.writer(returns);

        String constant = JavaNames.constant(command.name());
        spec.addField(
                FieldSpec.builder(
                                ParameterizedTypeName.get(Support.COMMAND, arguments, result),
                                constant,
                                Modifier.PUBLIC,
                                Modifier.STATIC,
                                Modifier.FINAL)
                        .addJavadoc("The command <code>$L</code>.\n", command.name())
                        .initializer(
                                "new $T<>($S, $L, $L, $L, $L, $L, $L, $L)",
                                Support.COMMAND,
                                command.name(),
                                reader,
                                writer,
                                resultReader,
                                resultWriter,
                                command.successResponse(),
                                command.allowOob(),
                                command.allowPreconfig())
                        .build());

        String method = JavaNames.member(command.name());
        MethodSpec.Builder handler =
                MethodSpec.methodBuilder(method)
                        .addModifiers(Modifier.PUBLIC, Modifier.ABSTRACT)
                        .addJavadoc(docs.definition(command, "Runs " + command.name() + "."))
                        .addAnnotations(docs.features(command.head().features(), false))
                        .addException(Support.EXCEPTION)
                        .returns(returns == null ? TypeName.VOID : types.of(returns));
        if (!noArguments) {
            handler.addParameter(arguments, "arguments");
        }
        spec.addMethod(handler.build());

        String argument = noArguments ? "" : "arguments";
        if (returns != null) {
            register.addStatement(
                    "table.register($L, arguments -> handler.$L($L))", constant, method, argument);
        } else {
            register.addCode(
                    CodeBlock.builder()
                            .add("table.register($L, arguments -> {\n", constant)
                            .indent()
                            .addStatement("handler.$L($L)", method, argument)
                            .addStatement("return $T.EMPTY", Support.EMPTY)
                            .unindent()
                            .add("});\n")
                            .build());
        }
    }
}
