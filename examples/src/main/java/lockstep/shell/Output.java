package lockstep.shell;

import org.jspecify.annotations.Nullable;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Standard output. Any thread may write; whoever runs the commands asks whether it could be written. */
final class Output {
    private final OutputStream stream = new FileOutputStream(FileDescriptor.out);
    private volatile @Nullable IOException failure;

    /** Writes a text at once; nothing after the first failure. */
    void print(String text) {
        if (failure == null) {
            try {
                stream.write(text.getBytes(StandardCharsets.UTF_8));
            } catch (IOException e) {
                failure = e;
            }
        }
    }

    /** Throws when something could not be written. */
    void check() throws IOException {
        IOException cause = failure;
        if (cause != null) {
            throw new IOException("cannot write the output: " + Main.message(cause), cause);
        }
    }

    /** Whether nobody reads the output any more, which is no news to the user. */
    boolean isBroken() {
        IOException cause = failure;
        return cause != null && Main.message(cause).equals("Broken pipe");
    }
}
