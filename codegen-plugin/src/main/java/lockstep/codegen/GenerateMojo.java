package lockstep.codegen;

import org.apache.maven.plugins.annotations.LifecyclePhase;
import org.apache.maven.plugins.annotations.Mojo;
import org.apache.maven.plugins.annotations.Parameter;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.build.BuildContext;

import java.io.File;

import javax.inject.Inject;

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
    @Inject
    public GenerateMojo(BuildContext editor) {
        super(editor);
    }

    @Override
    File outputDirectory() {
        return outputDirectory;
    }

    @Override
    void addSourceRoot(MavenProject to, String directory) {
        to.addCompileSourceRoot(directory);
    }
}
