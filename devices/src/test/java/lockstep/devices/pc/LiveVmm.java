package lockstep.devices.pc;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.kvm.KvmRoom;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.process.ObjectRegistry;
import lockstep.runtime.process.RunController;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.testmachine.Fake;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** As much of a process as a real board on a real loop needs. */
final class LiveVmm implements AutoCloseable {
    final MachineLock lock = new MachineLock();
    final VmClocks clocks = new VmClocks();
    final EpollLoop loop;
    final Vmm vmm;
    final RunController run;
    final List<String> messages = new ArrayList<>();
    private final ObjectTree objects;
    final HmpTable hmp = new HmpTable();
    private final StateRegistry state = new StateRegistry();
    private final Map<Class<?>, Object> services = new HashMap<>();
    private final List<Runnable> exits = new ArrayList<>();
    @Nullable Machine machine;
    @Nullable Accelerator accelerator;

    LiveVmm() throws LinuxException {
        loop = new EpollLoop("main", clocks, lock, (what, e) -> e.printStackTrace());
        vmm = Fake.of(Vmm.class, this::answer);
        objects = new ObjectRegistry(vmm);
        run = new RunController(vmm, clocks, () -> {});
        loop.start();
    }

    /** Has KVM run the guest. */
    void useKvm() throws AcceleratorException {
        AcceleratorType[] kvm = new AcceleratorType[1];
        new KvmRoom()
                .install(
                        Fake.of(
                                Registration.class,
                                (method, arguments) -> {
                                    kvm[0] = (AcceleratorType) arguments[0];
                                    return null;
                                }),
                        vmm);
        accelerator = kvm[0].open(Map.of(), loop);
    }

    private @Nullable Object answer(String name, Object[] args) {
        return switch (name) {
            case "lock" -> lock;
            case "clocks" -> clocks;
            case "mainLoop" -> loop;
            case "state" -> state;
            case "run" -> run;
            case "objects" -> objects;
            case "hmp" -> hmp;
            case "machine" -> machine;
            case "accelerator" -> accelerator;
            case "firmwareDirectories" -> List.of();
            case "publish" -> services.put((Class<?>) args[0], args[1]);
            case "find" -> Optional.ofNullable(services.get((Class<?>) args[0]));
            case "service" -> services.get((Class<?>) args[0]);
            case "onExit" -> exits.add((Runnable) args[0]);
            case "warn", "report" -> messages.add((String) args[0]);
            default -> null;
        };
    }

    /** Ends the vCPUs, then the loop. */
    @Override
    public void close() {
        lock.run(
                () -> {
                    Machine m = machine;
                    if (m != null) {
                        m.vcpus().pauseAll();
                        m.vcpus().close();
                    }
                    exits.reversed().forEach(Runnable::run);
                });
        loop.stop();
    }

    /** A serial line whose other end is the test. */
    static final class Line implements Chardev {
        private final StringBuilder text = new StringBuilder();
        private final CountDownLatch seen = new CountDownLatch(1);
        private final String awaited;

        /** Waits for {@code awaited} in what the guest writes. */
        Line(String awaited) {
            this.awaited = awaited;
        }

        boolean await(long seconds) throws InterruptedException {
            return seen.await(seconds, TimeUnit.SECONDS);
        }

        synchronized String text() {
            return text.toString();
        }

        private synchronized void append(ByteBuffer data) {
            text.append(StandardCharsets.ISO_8859_1.decode(data));
            if (text.indexOf(awaited) >= 0) {
                seen.countDown();
            }
        }

        @Override
        public String id() {
            return "serial0";
        }

        @Override
        public String filename() {
            return "test";
        }

        @Override
        public boolean frontendOpen() {
            return true;
        }

        @Override
        public boolean movable() {
            return false;
        }

        @Override
        public boolean reconnectable() {
            return false;
        }

        @Override
        public Attachment attach(ChardevFrontend frontend, EventLoop on) {
            return new Attachment() {
                @Override
                public boolean connected() {
                    return true;
                }

                @Override
                public void write(ByteBuffer data) {
                    append(data);
                }

                @Override
                public long pending() {
                    return 0;
                }

                @Override
                public void acceptInput() {}

                @Override
                public void whenDrained(Runnable task) {
                    task.run();
                }

                @Override
                public void close() {}
            };
        }

        @Override
        public void close() {}
    }
}
