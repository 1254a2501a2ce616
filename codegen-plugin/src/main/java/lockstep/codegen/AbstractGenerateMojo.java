package lockstep.codegen;

import lockstep.qapi.InvalidSchemaException;
import lockstep.qapi.SchemaLoader;
import lockstep.qapi.model.Schema;

import org.apache.maven.plugin.AbstractMojo;
import org.apache.maven.plugin.MojoExecution;
import org.apache.maven.plugin.MojoExecutionException;
import org.apache.maven.plugin.MojoFailureException;
import org.apache.maven.plugins.annotations.Parameter;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.build.BuildContext;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

import javax.lang.model.SourceVersion;

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

    /**
     * Symbols that the <code>if</code> conditions of the schema find defined. What conditions exclude
     * is left out of the generated types and of the introspection data.
     */
    @Parameter(property = "lockstep.conditions")
    private List<String> conditions;

    /** Whether deprecated parts of the schema are deprecated in Java too. */
    @Parameter(property = "lockstep.markDeprecated", defaultValue = "true")
    private boolean markDeprecated;

    /**
     * Whether the generated package is marked with <code>&#64;NullMarked</code>; to be switched off in a
     * module that is marked as a whole.
     */
    @Parameter(property = "lockstep.nullMarked", defaultValue = "true")
    private boolean nullMarked;

    /** Whether the output directory becomes a source root of the project. */
    @Parameter(property = "lockstep.addSourceRoot", defaultValue = "true")
    private boolean addSourceRoot;

    /** Skips generation; the source root is added all the same. */
    @Parameter(property = "lockstep.skip", defaultValue = "false")
    private boolean skip;

    private final BuildContext editor;
    private final EditorMarkers markers;

    /** Made by Maven, which fills the fields. */
    AbstractGenerateMojo(BuildContext editor) {
        this.editor = editor;
        this.markers = new EditorMarkers(editor);
    }

    abstract File outputDirectory();

    abstract void addSourceRoot(MavenProject to, String directory);

    @Override
    public void execute() throws MojoExecutionException, MojoFailureException {
        Path output = outputDirectory().toPath();
        if (addSourceRoot) {
            addSourceRoot(project, output.toString());
        }
        if (skip) {
            getLog().info("Skipped.");
            return;
        }
        if (!SourceVersion.isName(packageName)) {
            throw new MojoFailureException("'" + packageName + "' is not the name of a package");
        }
        try {
            generate(output);
        } catch (InvalidSchemaException e) {
            markers.mark(e.errors());
            throw new MojoFailureException(
                    schema + " has " + e.errors().size() + " error(s):\n" + e.getMessage(), e);
        } catch (IOException e) {
            throw new MojoExecutionException("Cannot write to " + output + ": " + e, e);
        }
    }

    private void generate(Path output) throws IOException, InvalidSchemaException {
        Set<String> defined = conditions == null ? Set.of() : new TreeSet<>(conditions);
        String name = execution.getExecutionId() + "-" + execution.getGoal();
        GenerationNote note = GenerationNote.read(stateDirectory.toPath().resolve(name + ".state"));
        List<String> configuration =
                List.of(
                        "schema " + schema,
                        "package " + packageName,
                        "output " + output,
                        "conditions " + defined,
                        "deprecated " + markDeprecated,
                        "marked " + nullMarked,
                        "plugin " + GenerationNote.stamp(pluginFile()));
        if (note.upToDate(configuration)) {
            getLog().info("Nothing changed since the last generation.");
            return;
        }
        markers.clear(note.inputs());
        markers.clear(List.of(schema.toPath()));
        long start = System.nanoTime();
        Schema loaded = SchemaLoader.load(schema.getPath());
        Set<Path> written =
                new SchemaGenerator(packageName, defined, markDeprecated, nullMarked)
                        .generate(loaded, output);
        List<Path> stale = new ArrayList<>(note.outputs());
        stale.removeAll(written);
        SchemaGenerator.remove(stale);
        List<Path> inputs = loaded.modules().stream().map(Schema.Module::path).toList();
        markers.clear(inputs);
        note.write(configuration, inputs, written);
        editor.refresh(output.toFile());
        long millis = (System.nanoTime() - start) / 1_000_000;
        getLog().info(
                        "Generated "
                                + written.size()
                                + " files from "
                                + inputs.size()
                                + " schema files in "
                                + millis
                                + " ms.");
    }

    private Path pluginFile() {
        return execution
                .getMojoDescriptor()
                .getPluginDescriptor()
                .getPluginArtifact()
                .getFile()
                .toPath();
    }
}
