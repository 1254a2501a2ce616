package lockstep.codegen;

import org.apache.maven.plugins.annotations.LifecyclePhase;
import org.apache.maven.plugins.annotations.Mojo;
import org.apache.maven.plugins.annotations.Parameter;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.build.BuildContext;

import java.io.File;

import javax.inject.Inject;

/** Generates Java from a QAPI schema and adds it to the test sources. */
@Mojo(
        name = "generate-test",
        defaultPhase = LifecyclePhase.GENERATE_TEST_SOURCES,
        threadSafe = true)
public final class GenerateTestMojo extends AbstractGenerateMojo {
    /** Root of the generated sources. */
    @Parameter(
            property = "lockstep.testOutputDirectory",
            defaultValue = "${project.build.directory}/generated-test-sources/lockstep",
            required = true)
    private File outputDirectory;

    /** Made by Maven. */
    @Inject
    public GenerateTestMojo(BuildContext editor) {
        super(editor);
    }

    @Override
    File outputDirectory() {
        return outputDirectory;
    }

    @Override
    void addSourceRoot(MavenProject to, String directory) {
        to.addTestCompileSourceRoot(directory);
    }
}
