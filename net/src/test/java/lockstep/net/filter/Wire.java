package lockstep.net.filter;

import lockstep.net.wire.Endpoint;
import lockstep.net.wire.Network;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.testmachine.SteppedLoop;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A backend n0 and a NIC on a wire, with fake character devices, all in memory. */
final class Wire {
    boolean running = true;
    boolean held;
    final List<String> messages = new ArrayList<>();
    final Network network = new Network(() -> running, messages::add);
    final End host = new End("n0", false);
    final End nic = new End("e0", true);
    final SteppedLoop loop = new SteppedLoop("test");
    final Map<String, Pipe> pipes = new HashMap<>();
    final ChardevLookup chardevs =
            new ChardevLookup() {
                @Override
                public @Nullable Chardev find(String id) {
                    return pipes.get(id);
                }

                @Override
                public EventLoop loop() {
                    return loop;
                }

                @Override
                public boolean held() {
                    return held;
                }
            };

    Wire() {
        network.add(host);
        network.add(nic);
        host.connect(nic);
    }

    Pipe pipe(String id) {
        return pipes.computeIfAbsent(id, Pipe::new);
    }

    /** An end that keeps what it receives. */
    final class End extends Endpoint {
        final List<String> got = new ArrayList<>();
        boolean room = true;
        int woken;
        private final boolean nicSide;

        End(String name, boolean nicSide) {
            super(network, name, nicSide ? "nic" : "tap");
            this.nicSide = nicSide;
            info("test");
        }

        @Override
        public boolean nic() {
            return nicSide;
        }

        @Override
        protected boolean canReceive() {
            return room;
        }

        @Override
        protected int receive(byte[] frame, int offset, int length) {
            if (!room) {
                return 0;
            }
            got.add(text(Arrays.copyOfRange(frame, offset, offset + length)));
            return length;
        }

        /** Whether a backend would pause its reading. */
        boolean paused() {
            return congested();
        }

        @Override
        protected void wake() {
            woken++;
        }

        int send(String text) {
            byte[] b = text.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
            return send(b, 0, b.length, null);
        }

        List<String> take() {
            List<String> list = List.copyOf(got);
            got.clear();
            return list;
        }
    }

    static String text(byte[] b) {
        return new String(b, java.nio.charset.StandardCharsets.ISO_8859_1);
    }

    /** A character device whose peer is the test. */
    static final class Pipe implements Chardev {
        private final String id;
        boolean connected = true;
        @Nullable ChardevFrontend frontend;
        String written = "";
        long pending;
        private @Nullable Runnable drainTask;

        Pipe(String id) {
            this.id = id;
        }

        /** The peer takes all that waits. */
        void drain() {
            pending = 0;
            Runnable task = drainTask;
            drainTask = null;
            if (task != null) {
                task.run();
            }
        }

        void feed(int... bytes) {
            ByteBuffer b = ByteBuffer.allocate(bytes.length);
            for (int x : bytes) {
                b.put((byte) x);
            }
            feed(b.flip());
        }

        void feed(ByteBuffer b) {
            ChardevFrontend f = frontend;
            if (f != null && f.canReceive() > 0) {
                f.receive(b);
            }
        }

        @Override
        public String id() {
            return id;
        }

        @Override
        public String filename() {
            return "test";
        }

        @Override
        public boolean frontendOpen() {
            return frontend != null;
        }

        @Override
        public boolean movable() {
            return true;
        }

        @Override
        public boolean reconnectable() {
            return true;
        }

        @Override
        public Attachment attach(ChardevFrontend f, EventLoop loop) throws ChardevException {
            return attach(f);
        }

        Attachment attach(ChardevFrontend f) throws ChardevException {
            if (frontend != null) {
                throw new ChardevException("chardev '" + id + "' is already in use");
            }
            frontend = f;
            return new Attachment() {
                @Override
                public boolean connected() {
                    return connected;
                }

                @Override
                public void write(ByteBuffer data) throws IOException {
                    if (!connected) {
                        throw new IOException("not connected");
                    }
                    byte[] b = new byte[data.remaining()];
                    data.get(b);
                    written += text(b);
                }

                @Override
                public long pending() {
                    return pending;
                }

                @Override
                public void acceptInput() {}

                @Override
                public void whenDrained(Runnable task) {
                    if (pending == 0) {
                        task.run();
                    } else {
                        drainTask = task;
                    }
                }

                @Override
                public void close() {
                    frontend = null;
                }
            };
        }

        @Override
        public void close() {}
    }
}
