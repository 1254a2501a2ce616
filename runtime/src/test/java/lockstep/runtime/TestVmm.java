package lockstep.runtime;

import lockstep.runtime.commandline.RuntimeOptions;
import lockstep.runtime.process.PidFile;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.testmachine.StillBoard;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A process without a board, in this JVM: its main loop runs on a thread of its own. */
final class TestVmm implements AutoCloseable {
    private final VmmProcess vmm;
    private final PidFile pidFile = new PidFile();
    private final Thread thread;

    private TestVmm(VmmProcess vmm, RuntimeOptions own, List<String> arguments) throws Exception {
        this.vmm = vmm;
        if (!Main.start(vmm, own, arguments, pidFile)) {
            throw new IllegalStateException("nothing to run");
        }
        thread = Thread.ofPlatform().name("main loop").unstarted(vmm.loop()::run);
        thread.start();
    }

    /** Starts {@code -machine none} with further options. */
    static TestVmm start(String... options) throws Exception {
        return start("none", options);
    }

    /** Starts a {@link StillBoard} with further options. */
    static TestVmm startBoard(String... options) throws Exception {
        return start("test", options);
    }

    private static TestVmm start(String machine, String... options) throws Exception {
        List<String> all =
                new ArrayList<>(List.of("-machine", machine, "-nodefaults", "-nographic"));
        all.addAll(List.of(options));
        RuntimeOptions own = new RuntimeOptions();
        VmmProcess vmm = new VmmProcess("prog", own.settings());
        vmm.machineType(new StillBoard());
        return new TestVmm(vmm, own, all);
    }

    VmmProcess vmm() {
        return vmm;
    }

    /** Whether the main loop has ended by itself within the time given. */
    boolean ended(long milliseconds) throws InterruptedException {
        thread.join(milliseconds);
        return !thread.isAlive();
    }

    @Override
    public void close() {
        vmm.loop().stop();
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        vmm.shutDown();
        pidFile.remove();
        vmm.loop().close();
    }

    /** A client of a unix socket that reads what comes as bytes. */
    static final class Client implements AutoCloseable {
        private static final long PATIENCE_NS = 20_000_000_000L;

        private final SocketChannel channel;
        private final StringBuilder unread = new StringBuilder();

        Client(Path socket) throws IOException {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.connect(UnixDomainSocketAddress.of(socket));
        }

        Client send(String text) throws IOException {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.ISO_8859_1));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            return this;
        }

        Client endInput() throws IOException {
            channel.shutdownOutput();
            return this;
        }

        /** Reads up to and with {@code end}; the rest stays for later. */
        String until(String end) throws IOException {
            long deadline = System.nanoTime() + PATIENCE_NS;
            while (true) {
                int at = unread.indexOf(end);
                if (at >= 0) {
                    String text = unread.substring(0, at + end.length());
                    unread.delete(0, at + end.length());
                    return text;
                }
                if (!more() || System.nanoTime() > deadline) {
                    throw new IOException("no '" + end + "' after: " + unread);
                }
            }
        }

        /** One line of a QMP monitor, without its CR LF. */
        String line() throws IOException {
            String line = until("\r\n");
            return line.substring(0, line.length() - 2);
        }

        /** Everything up to the end of the stream. */
        String rest() throws IOException {
            while (more()) {
                // Reads on.
            }
            String all = unread.toString();
            unread.setLength(0);
            return all;
        }

        private boolean more() throws IOException {
            ByteBuffer buffer = ByteBuffer.allocate(65536);
            int n = channel.read(buffer);
            if (n < 0) {
                return false;
            }
            unread.append(new String(buffer.array(), 0, n, StandardCharsets.ISO_8859_1));
            return true;
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
