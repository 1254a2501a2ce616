package lockstep.codegen.tool;

import lockstep.codegen.Introspection;
import lockstep.codegen.SchemaGenerator;
import lockstep.qapi.InvalidSchemaException;
import lockstep.qapi.SchemaDump;
import lockstep.qapi.SchemaLoader;
import lockstep.qapi.model.Schema;

import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * {@code lockstep-qapi}: checks schemas, shows what they say and generates Java without Maven. Exits
 * with 0, with 1 when the schema has errors or a file cannot be written, with 2 when the command line
 * is wrong.
 */
public final class Main {
    private final PrintStream out;
    private final PrintStream err;

    private Main(PrintStream out, PrintStream err) {
        this.out = out;
        this.err = err;
    }

    /** Runs and ends the process. */
    public static void main(String[] args) {
        PrintStream out = utf8(FileDescriptor.out);
        PrintStream err = utf8(FileDescriptor.err);
        int status = run(args, out, err);
        if (out.checkError()) {
            err.print(CommandLine.program() + ": error: cannot write to standard output\n");
            err.flush();
            status = 1;
        }
        System.exit(status);
    }

    private static PrintStream utf8(FileDescriptor descriptor) {
        FileOutputStream stream = new FileOutputStream(descriptor);
        return new PrintStream(
                new BufferedOutputStream(stream, 1 << 16), false, StandardCharsets.UTF_8);
    }

    /** Runs a command line and gives the exit status. Both streams are left flushed. */
    static int run(String[] args, PrintStream out, PrintStream err) {
        try {
            return new Main(out, err).run(CommandLine.parse(args));
        } catch (UsageException e) {
            String program = CommandLine.program();
            err.print(CommandLine.usage());
            err.print(program + ": error: " + e.getMessage() + "\n");
            return 2;
        } finally {
            out.flush();
            err.flush();
        }
    }

    private int run(CommandLine line) {
        if (line.help()) {
            out.print(CommandLine.helpText());
            return 0;
        }
        try {
            switch (line.command()) {
                case CHECK -> load(line);
                case DUMP -> out.print(SchemaDump.of(load(line)));
                case INTROSPECT -> introspect(line);
                case GENERATE ->
                        new SchemaGenerator(line.packageName(), line.conditions(), true, true)
                                .generate(load(line), Path.of(line.output()));
            }
            return 0;
        } catch (InvalidSchemaException e) {
            err.print(e.getMessage() + "\n");
            return 1;
        } catch (IOException e) {
            err.print(
                    CommandLine.program()
                            + ": error: cannot write to '"
                            + line.output()
                            + "': "
                            + reason(e)
                            + "\n");
            return 1;
        }
    }

    /** What Java's exceptions say by their type, with the file in the place of a reason. */
    private static String reason(IOException e) {
        if (!(e instanceof FileSystemException)) {
            return String.valueOf(e.getMessage());
        }
        FileSystemException failure = (FileSystemException) e;
        String text = failure.getReason();
        if (e instanceof NoSuchFileException) {
            text = "No such file or directory";
        } else if (e instanceof FileAlreadyExistsException) {
            text = "Not a directory";
        } else if (e instanceof AccessDeniedException) {
            text = "Permission denied";
        }
        return failure.getFile() + ": " + text;
    }

    private static Schema load(CommandLine line) throws InvalidSchemaException {
        return line.firstError()
                ? SchemaLoader.loadFirstError(line.file())
                : SchemaLoader.load(line.file());
    }

    /** A JSON array with one line for each object. */
    private void introspect(CommandLine line) throws InvalidSchemaException {
        String separator = "[\n";
        for (String entry : Introspection.entries(load(line), line.conditions(), !line.unmask())) {
            out.print(separator);
            out.print(entry);
            separator = ",\n";
        }
        out.print(separator.equals("[\n") ? "[]\n" : "\n]\n");
    }
}
