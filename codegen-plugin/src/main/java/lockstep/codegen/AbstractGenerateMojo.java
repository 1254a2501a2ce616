package lockstep.codegen;

import lockstep.qapi.InvalidSchemaException;
import lockstep.qapi.SchemaLoader;
import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.SchemaError;

import org.apache.maven.plugin.AbstractMojo;
import org.apache.maven.plugin.MojoExecution;
import org.apache.maven.plugin.MojoExecutionException;
import org.apache.maven.plugin.MojoFailureException;
import org.apache.maven.plugins.annotations.Parameter;
import org.apache.maven.project.MavenProject;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** What generation for main and for test sources share. */
abstract class AbstractGenerateMojo extends AbstractMojo {
    /** The project. */
    @Parameter(defaultValue = "${project}", readonly = true, required = true)
    private MavenProject project;

    /** This execution; keeps the unchanged-checks of several executions apart. */
    @Parameter(defaultValue = "${mojoExecution}", readonly = true, required = true)
    private MojoExecution execution;

    /** Where notes for the unchanged-check are kept. */
    @Parameter(
            defaultValue = "${project.build.directory}/lockstep-codegen",
            readonly = true,
            required = true)
    private File stateDirectory;

    /** The main file of the schema. Included files are found from there. */
    @Parameter(property = "lockstep.schema", required = true)
    private File schema;

    /** Package of the generated types. */
    @Parameter(property = "lockstep.package", required = true)
    private String packageName;

    /** Symbols that the schema's {@code if} conditions find defined. */
    @Parameter(property = "lockstep.conditions")
    private List<String> conditions;

    /** Whether deprecated parts of the schema are deprecated in Java too. */
    @Parameter(property = "lockstep.markDeprecated", defaultValue = "true")
    private boolean markDeprecated;

    /** Whether the generated package is marked {@code @NullMarked}. */
    @Parameter(property = "lockstep.nullMarked", defaultValue = "true")
    private boolean nullMarked;

    /** Skips the execution. */
    @Parameter(property = "lockstep.skip", defaultValue = "false")
    private boolean skip;

    /** Made by Maven, which fills the fields. */
    AbstractGenerateMojo() {}

    abstract File outputDirectory();

    abstract void addSourceRoot(MavenProject to, String directory);

    @Override
    public void execute() throws MojoExecutionException, MojoFailureException {
        if (skip) {
            getLog().info("Skipped.");
            return;
        }
        Path output = outputDirectory().toPath();
        addSourceRoot(project, output.toString());
        Set<String> defined = conditions == null ? Set.of() : new TreeSet<>(conditions);
        Path note = stateDirectory.toPath().resolve(execution.getExecutionId() + ".state");
        try {
            if (upToDate(note, output, defined)) {
                getLog().debug("Nothing changed since the last generation.");
                return;
            }
            long start = System.nanoTime();
            Schema loaded = SchemaLoader.load(schema.getPath());
            new SchemaGenerator(packageName, defined, markDeprecated, nullMarked)
                    .generate(loaded, output);
            List<Path> read = loaded.modules().stream().map(Schema.Module::path).toList();
            Files.createDirectories(note.getParent());
            Files.writeString(note, state(read, defined), StandardCharsets.UTF_8);
            long millis = (System.nanoTime() - start) / 1_000_000;
            getLog().info("Read " + read.size() + " schema files in " + millis + " ms.");
        } catch (InvalidSchemaException e) {
            for (SchemaError error : e.errors()) {
                getLog().error(error.toString());
            }
            throw new MojoFailureException(
                    schema + " has " + e.errors().size() + " error(s):\n" + e.getMessage(), e);
        } catch (IOException e) {
            throw new MojoExecutionException("Cannot write to " + output + ": " + e, e);
        }
    }

    private boolean upToDate(Path note, Path output, Set<String> defined) throws IOException {
        if (!Files.exists(note)
                || !Files.isDirectory(output.resolve(packageName.replace('.', '/')))) {
            return false;
        }
        String before = Files.readString(note, StandardCharsets.UTF_8);
        List<Path> files =
                before.lines()
                        .filter(l -> l.startsWith("file "))
                        .map(l -> Path.of(l.substring(l.indexOf(' ', 5) + 1)))
                        .toList();
        for (Path file : files) {
            if (!Files.exists(file)) {
                return false;
            }
        }
        return before.equals(state(files, defined));
    }

    /** Everything the result depends on: configuration, the plugin itself and all files read. */
    private String state(List<Path> files, Set<String> defined) throws IOException {
        StringBuilder text = new StringBuilder();
        text.append("package ").append(packageName).append('\n');
        text.append("schema ").append(schema).append('\n');
        text.append("conditions ").append(defined).append('\n');
        text.append("deprecated ").append(markDeprecated).append('\n');
        text.append("marked ").append(nullMarked).append('\n');
        text.append("plugin ").append(pluginStamp()).append('\n');
        for (Path file : files) {
            text.append("file ").append(hash(Files.readAllBytes(file)));
            text.append(' ').append(file).append('\n');
        }
        return text.toString();
    }

    private String pluginStamp() throws IOException {
        File jar =
                execution.getMojoDescriptor().getPluginDescriptor().getPluginArtifact() == null
                        ? null
                        : execution
                                .getMojoDescriptor()
                                .getPluginDescriptor()
                                .getPluginArtifact()
                                .getFile();
        if (jar == null) {
            return "unknown";
        }
        if (!jar.isDirectory()) {
            return jar.length() + " " + jar.lastModified();
        }
        // Built by the same reactor: the classes stand for the archive.
        try (Stream<Path> files = Files.walk(jar.toPath())) {
            List<Path> classes = files.filter(Files::isRegularFile).sorted().toList();
            StringBuilder all = new StringBuilder();
            for (Path file : classes) {
                all.append(file).append(hash(Files.readAllBytes(file)));
            }
            return hash(all.toString().getBytes(StandardCharsets.UTF_8));
        }
    }

    private static String hash(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
