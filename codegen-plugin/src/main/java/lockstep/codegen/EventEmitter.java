package lockstep.codegen;

import com.palantir.javapoet.ClassName;
import com.palantir.javapoet.CodeBlock;
import com.palantir.javapoet.MethodSpec;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.DocComment;

import java.util.ArrayList;
import java.util.List;

import javax.lang.model.element.Modifier;

/** Writes a record per event and the sealed interface over them. */
final class EventEmitter {
    private final Schema schema;
    private final Types types;
    private final Docs docs;
    private final RecordEmitter records;

    EventEmitter(Schema schema, Types types, Docs docs) {
        this.schema = schema;
        this.types = types;
        this.docs = docs;
        this.records = new RecordEmitter(types, docs);
    }

    List<TypeSpec.Builder> emit(List<Definition.Event> events) {
        List<TypeSpec.Builder> result = new ArrayList<>();
        ClassName all = types.inPackage("Event");
        TypeSpec.Builder spec =
                TypeSpec.interfaceBuilder(all)
                        .addModifiers(Modifier.PUBLIC, Modifier.SEALED)
                        .addSuperinterface(Support.EVENT)
                        .addJavadoc("The events of this schema.\n");
        CodeBlock.Builder cases = CodeBlock.builder();
        cases.beginControlFlow("return switch (eventName)");
        for (Definition.Event event : events) {
            ClassName self = types.named(event);
            spec.addPermittedSubclass(self);
            cases.addStatement(
                    "case $S -> $T.read($T.lenient(data), null)",
                    event.name(),
                    self,
                    Support.JSON_INPUT);
            result.add(event(self, all, event));
        }
        cases.addStatement("default -> new $T(eventName, data)", Support.UNKNOWN_EVENT);
        cases.unindent().addStatement("}");
        spec.addMethod(
                MethodSpec.methodBuilder("read")
                        .addModifiers(Modifier.PUBLIC, Modifier.STATIC)
                        .addJavadoc(
                                "Reads an event's data as clients do; an event that the schema does"
                                        + " not have is kept as it is.\n\n"
                                        + "@throws QmpException when a member is missing or"
                                        + " ill-typed\n")
                        .addParameter(String.class, "eventName")
                        .addParameter(Support.JSON_OBJECT, "data")
                        .addException(Support.EXCEPTION)
                        .returns(Support.EVENT)
                        .addCode(cases.build())
                        .build());
        if (!events.isEmpty()) {
            result.add(spec);
        }
        return result;
    }

    private TypeSpec.Builder event(ClassName self, ClassName all, Definition.Event event) {
        Definition.Arguments arguments = event.arguments();
        String named = arguments.type();
        boolean whole = named != null && !(schema.type(named) instanceof Definition.StructType);
        TypeSpec.Builder spec;
        CodeBlock javadoc = docs.definition(event, "The event " + event.name() + ".");
        if (whole) {
            RecordEmitter.Component data = records.data("data", named);
            spec =
                    records.record(self, List.of(data), javadoc)
                            .addMethod(RecordEmitter.read(self))
                            .addMethod(
                                    RecordEmitter.readMembers(self)
                                            .addStatement(
                                                    "return new $T($T.readMembers(visitor))",
                                                    self,
                                                    types.named(named))
                                            .build())
                            .addMethod(
                                    RecordEmitter.writeMembersMethod()
                                            .addStatement("this.data.writeMembers(visitor)")
                                            .build());
        } else {
            List<Member> members =
                    named != null ? schema.commonMembers(named) : arguments.members();
            List<DocComment> docChain =
                    Docs.chain(schema, named != null ? schema.type(named) : event);
            spec = records.struct(self, members, docChain, javadoc);
        }
        return spec.addSuperinterface(all)
                .addAnnotations(docs.features(event.head().features(), true))
                .addMethod(
                        MethodSpec.methodBuilder("eventName")
                                .addAnnotation(Override.class)
                                .addModifiers(Modifier.PUBLIC)
                                .returns(String.class)
                                .addStatement("return $S", event.name())
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("hasData")
                                .addAnnotation(Override.class)
                                .addModifiers(Modifier.PUBLIC)
                                .returns(boolean.class)
                                .addStatement("return $L", !arguments.isEmpty())
                                .build())
                .addMethod(
                        MethodSpec.methodBuilder("writeData")
                                .addAnnotation(Override.class)
                                .addModifiers(Modifier.PUBLIC)
                                .addParameter(Support.OUTPUT, "visitor")
                                .addStatement("writeMembers(visitor)")
                                .build());
    }
}
