package lockstep.runtime.migration;

import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.MachineState;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.Supplier;

/** Writes and reads a migration's stream while the machine stands: for snapshots. Under the machine lock. */
final class MachineKeeper implements MachineState {
    /** Nobody writes to memory meanwhile. */
    private static final DirtyLog STILL =
            new DirtyLog() {
                @Override
                public void start() {}

                @Override
                public void stop() {}

                @Override
                public boolean recording() {
                    return false;
                }

                @Override
                public long collect(RamBlock block, long[] bitmap) {
                    return 0;
                }
            };

    private final MigrationHost host;
    private final GlobalState globalState;
    private final Supplier<List<String>> blockers;

    MachineKeeper(MigrationHost host, GlobalState globalState, Supplier<List<String>> blockers) {
        this.host = host;
        this.globalState = globalState;
        this.blockers = blockers;
    }

    @Override
    public void prepare() throws IOException {
        for (String blocker : blockers.get()) {
            throw new IOException(blocker);
        }
        globalState.store(host.runState().wireName(), host.asleep());
    }

    @Override
    public void save(Sink sink) throws IOException {
        RamSource ram = new RamSource(host.lock(), STILL, host.blocks(), new RamStats(), true);
        StreamSaver saver = new StreamSaver(host.machineType(), host.state(), ram);
        StreamOutput out = new StreamOutput(new Channel(sink));
        saver.header(out);
        ram.start();
        saver.ramStart(out);
        saver.ramEnd(out);
        StateOutput devices = new StateOutput(1 << 18);
        saver.devicesAndDescription(devices, false);
        out.state(devices);
        out.flush();
    }

    @Override
    public void load(Source source) throws IOException {
        StateInput in = new StateInput(new Stream(source));
        StreamLoader loader =
                new StreamLoader(
                        host.machineType(),
                        host.state(),
                        new RamLoader(host.blocks()),
                        new StreamLoader.Commands() {
                            @Override
                            public void openReturnPath() throws IOException {
                                throw unexpected();
                            }

                            @Override
                            public void ping(int value) throws IOException {
                                throw unexpected();
                            }

                            @Override
                            public void enableColo() throws IOException {
                                throw unexpected();
                            }
                        },
                        StreamLoader.Load::run);
        loader.header(in);
        loader.items(in);
    }

    private static IOException unexpected() {
        return new LoadException(LoadException.Kind.INVALID, "A snapshot asks for an answer");
    }

    private record Channel(Sink sink) implements MigrationChannel {
        @Override
        public int read(ByteBuffer target) {
            return -1;
        }

        @Override
        public void write(ByteBuffer bytes) throws IOException {
            sink.write(bytes);
        }

        @Override
        public void shutdown() {}

        @Override
        public String kind() {
            return "snapshot";
        }

        @Override
        public void close() {}
    }

    private static final class Stream extends InputStream {
        private final Source source;

        Stream(Source source) {
            this.source = source;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] target, int offset, int length) throws IOException {
            return length == 0 ? 0 : source.read(ByteBuffer.wrap(target, offset, length));
        }
    }
}
