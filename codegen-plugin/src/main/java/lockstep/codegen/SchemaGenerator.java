package lockstep.codegen;

import com.palantir.javapoet.AnnotationSpec;
import com.palantir.javapoet.JavaFile;
import com.palantir.javapoet.TypeSpec;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** Writes the Java of a schema into a directory; files that would not change are left alone. */
public final class SchemaGenerator {
    /** The first line of each file, by which it is known as ours. */
    private static final String MARK = "// Written by lockstep-codegen-plugin; changes are lost.";

    private final String javaPackage;
    private final Set<String> conditions;
    private final boolean markDeprecated;
    private final boolean nullMarked;

    /**
     * Sets what all schemas are generated with.
     *
     * @param javaPackage package of the generated types
     * @param conditions symbols that are defined
     * @param markDeprecated whether deprecated parts of the schema are deprecated in Java
     * @param nullMarked whether the package is marked so that all is non-null unless said otherwise
     */
    public SchemaGenerator(
            String javaPackage,
            Set<String> conditions,
            boolean markDeprecated,
            boolean nullMarked) {
        this.javaPackage = javaPackage;
        this.conditions = Set.copyOf(conditions);
        this.markDeprecated = markDeprecated;
        this.nullMarked = nullMarked;
    }

    /**
     * Generates.
     *
     * @param loaded a schema from which nothing was left out
     * @param directory root of the generated sources, made if missing
     * @return the files that belong to the schema, whether they had to be written or were there
     * @throws IOException when a file cannot be written
     */
    public Set<Path> generate(Schema loaded, Path directory) throws IOException {
        Schema schema = ConditionFilter.apply(loaded, conditions);
        Set<Path> written = new LinkedHashSet<>();
        Path target = directory.resolve(javaPackage.replace('.', '/'));
        boolean deprecates = markDeprecated && Docs.hasDeprecated(schema);
        for (TypeSpec.Builder spec : specs(loaded, schema)) {
            if (deprecates) {
                // Generated code uses what it declares deprecated; the warning is for others.
                spec.addAnnotation(
                        AnnotationSpec.builder(SuppressWarnings.class)
                                .addMember("value", "$S", "deprecation")
                                .build());
            }
            TypeSpec type = spec.build();
            JavaFile file =
                    JavaFile.builder(javaPackage, type)
                            .addFileComment(MARK.substring(3))
                            .indent("    ")
                            .build();
            Path path = target.resolve(type.name() + ".java");
            writeIfChanged(path, file.toString());
            written.add(path);
        }
        Path info = target.resolve("package-info.java");
        writeIfChanged(info, packageInfo(loaded.modules().get(0).name()));
        written.add(info);
        removeOthers(target, written);
        return written;
    }

    private String packageInfo(String name) {
        String text =
                MARK
                        + "\n/** What the schema <code>"
                        + name
                        + "</code> defines: types, commands and events. */\n";
        return text
                + (nullMarked ? "@org.jspecify.annotations.NullMarked\n" : "")
                + "package "
                + javaPackage
                + ";\n";
    }

    private List<TypeSpec.Builder> specs(Schema loaded, Schema schema) {
        Types types = new Types(javaPackage, schema);
        Docs docs = new Docs(markDeprecated);
        TypeEmitter typeEmitter = new TypeEmitter(schema, types, docs);
        CommandEmitter commandEmitter = new CommandEmitter(schema, types, docs);
        ClientEmitter clientEmitter = new ClientEmitter(types, docs);
        List<TypeSpec.Builder> specs = new ArrayList<>();
        List<Definition.Event> events = new ArrayList<>();
        for (Schema.Module module : schema.modules()) {
            List<Definition.Command> commands = new ArrayList<>();
            for (Definition definition : module.definitions()) {
                if (definition instanceof Definition.Command command) {
                    commands.add(command);
                } else if (definition instanceof Definition.Event event) {
                    events.add(event);
                } else if (definition instanceof Definition.Type type) {
                    specs.add(typeEmitter.emit(type));
                    typeEmitter.members(type).ifPresent(specs::add);
                }
            }
            if (!commands.isEmpty()) {
                specs.addAll(commandEmitter.emit(module, commands));
                specs.add(clientEmitter.module(module, commands));
            }
        }
        specs.add(clientEmitter.all(!events.isEmpty()));
        specs.addAll(new EventEmitter(schema, types, docs).emit(events));
        if (types.usesQType()) {
            specs.add(typeEmitter.emit(Schema.QTYPE));
        }
        specs.add(
                IntrospectionEmitter.emit(
                        types.inPackage("Introspection"),
                        Introspection.entries(loaded, conditions, true)));
        specs.add(DocumentationEmitter.emit(types.inPackage("Documentation"), schema, types));
        return specs;
    }

    private static void writeIfChanged(Path path, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (Files.exists(path) && java.util.Arrays.equals(Files.readAllBytes(path), bytes)) {
            return;
        }
        Files.createDirectories(path.getParent());
        Files.write(path, bytes);
    }

    /** Types that left the schema must not stay behind. */
    private static void removeOthers(Path target, Set<Path> written) throws IOException {
        try (Stream<Path> files = Files.list(target)) {
            remove(
                    files.filter(f -> f.toString().endsWith(".java") && !written.contains(f))
                            .toList());
        }
    }

    /** Deletes those of the files that a generator wrote. */
    static void remove(List<Path> files) throws IOException {
        for (Path file : files) {
            if (Files.isRegularFile(file)
                    && Files.readString(file, StandardCharsets.UTF_8).startsWith(MARK)) {
                Files.delete(file);
            }
        }
    }
}
