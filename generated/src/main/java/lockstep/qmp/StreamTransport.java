package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Given streams, or the standard input and output of a program that is started for them. */
final class StreamTransport implements Transport {
    private static final long SECONDS_TO_END = 5;

    private final QmpAddress address;
    private @Nullable InputStream input;
    private @Nullable OutputStream output;
    private volatile @Nullable Process process;

    StreamTransport(QmpAddress address) {
        this.address = address;
        if (address instanceof QmpAddress.Streams streams) {
            input = streams.input();
            output = streams.output();
        }
    }

    @Override
    public void connect() throws IOException {
        if (address instanceof QmpAddress.Program program) {
            Process started =
                    new ProcessBuilder(program.command())
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            process = started;
            input = started.getInputStream();
            output = started.getOutputStream();
        }
    }

    /** The program, once it was started. */
    @Nullable Process process() {
        return process;
    }

    @Override
    public InputStream input() throws IOException {
        InputStream stream = input;
        if (stream == null) {
            throw new IOException("not connected");
        }
        return stream;
    }

    @Override
    public void write(byte[] bytes, int length, List<Descriptor> descriptors) throws IOException {
        OutputStream stream = output;
        if (stream == null) {
            throw new IOException("not connected");
        }
        if (!descriptors.isEmpty()) {
            throw new UnsupportedOperationException();
        }
        stream.write(bytes, 0, length);
        stream.flush();
    }

    @Override
    public void close() {
        Process running = process;
        if (running != null) {
            end(running);
        }
        closeStream(output);
        closeStream(input);
    }

    private static void end(Process running) {
        running.destroy();
        try {
            if (!running.waitFor(SECONDS_TO_END, TimeUnit.SECONDS)) {
                running.destroyForcibly();
            }
        } catch (InterruptedException e) {
            running.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }

    private static void closeStream(@Nullable AutoCloseable stream) {
        try {
            if (stream != null) {
                stream.close();
            }
        } catch (Exception e) {
            // The other end may be gone already.
        }
    }
}
