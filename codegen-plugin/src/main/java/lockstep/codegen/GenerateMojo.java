package lockstep.codegen;

import org.apache.maven.plugins.annotations.LifecyclePhase;
import org.apache.maven.plugins.annotations.Mojo;
import org.apache.maven.plugins.annotations.Parameter;
import org.apache.maven.project.MavenProject;

import java.io.File;

/** Generates Java from a QAPI schema and adds it to the main sources. */
@Mojo(name = "generate", defaultPhase = LifecyclePhase.GENERATE_SOURCES, threadSafe = true)
public final class GenerateMojo extends AbstractGenerateMojo {
    /** Root of the generated sources. */
    @Parameter(
            property = "lockstep.outputDirectory",
            defaultValue = "${project.build.directory}/generated-sources/lockstep",
            required = true)
    private File outputDirectory;

    /** Made by Maven. */
    public GenerateMojo() {}

    @Override
    File outputDirectory() {
        return outputDirectory;
    }

    @Override
    void addSourceRoot(MavenProject to, String directory) {
        to.addCompileSourceRoot(directory);
    }
}
