package lockstep.devices.pc;

import lockstep.qmp.QmpEvent;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.process.ObjectRegistry;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** A machine without an accelerator: real memory and devices, time that the test moves, recorded wires. */
final class FakeCore implements CoreMachine {
    final Map<ClockType, Long> time = new HashMap<>();
    final boolean[] wires = new boolean[24];

    /** How often each wire went up. */
    final int[] rises = new int[24];

    final List<String> requests = new ArrayList<>();

    /** What was sent to QMP clients. */
    final List<QmpEvent> events = new ArrayList<>();

    private final RegionMap memory = RegionMap.memory(null);
    private final RegionMap ports = RegionMap.ports();
    private final BusMemory dma = new BusMemory(memory);
    private final StateRegistry state = new StateRegistry();
    private final List<RamBlock> blocks = new ArrayList<>();
    private final List<Runnable> resets = new ArrayList<>();
    private final Set<Alarm> alarms = new LinkedHashSet<>();
    private final Map<Class<?>, Object> services = new HashMap<>();
    private final Map<String, Paper> chardevs = new HashMap<>();
    private final ObjectTree objects;
    private final HmpTable hmp = new HmpTable();
    private final RamBlock ram;
    private boolean gate;
    private final IntervalTimer timer =
            fake(
                    IntervalTimer.class,
                    (name, args) -> {
                        switch (name) {
                            case "replaced" -> requests.add("timerReplaced " + args[0]);
                            case "gate" -> {
                                if (args.length == 1) {
                                    return gate;
                                }
                                gate = (boolean) args[1];
                            }
                            case "output" -> {
                                return false;
                            }
                            default -> {}
                        }
                        return null;
                    });
    private final Vmm vmm;

    /** What the board wants to be called when its power button is pressed. */
    Runnable powerButton = () -> {};

    FakeCore(long ramSize) {
        time.put(ClockType.VIRTUAL, 0L);
        time.put(ClockType.REALTIME, 0L);
        time.put(ClockType.HOST, 1_795_000_000_000_000_000L);
        vmm = newVmm();
        services.put(Chardevs.class, fake(Chardevs.class, (call, id) -> chardevs.get(id[0])));
        objects = new ObjectRegistry(vmm);
        ram = newBlock("pc.ram", ramSize, ramSize);
    }

    private final class Alarm implements Timer {
        final ClockType clock;
        final Runnable callback;
        long deadline = NEVER;

        Alarm(ClockType clock, Runnable callback) {
            this.clock = clock;
            this.callback = callback;
        }

        @Override
        public void arm(long when) {
            deadline = when;
            if (when == NEVER) {
                alarms.remove(this);
            } else {
                alarms.add(this);
            }
        }

        @Override
        public void cancel() {
            arm(NEVER);
        }

        @Override
        public long deadline() {
            return deadline;
        }
    }

    /** Lets time pass and runs what is due, the earliest first. */
    void advance(long nanos) {
        for (ClockType clock : ClockType.values()) {
            long end = now(clock) + nanos;
            while (true) {
                Alarm due = null;
                for (Alarm a : alarms) {
                    if (a.clock == clock
                            && a.armed()
                            && a.deadline <= end
                            && (due == null || a.deadline < due.deadline)) {
                        due = a;
                    }
                }
                if (due == null) {
                    break;
                }
                time.put(clock, Math.max(now(clock), due.deadline));
                due.cancel();
                due.callback.run();
            }
            time.put(clock, end);
        }
    }

    private long now(ClockType clock) {
        return time.getOrDefault(clock, 0L);
    }

    /** A character device that keeps what is written to it. */
    static final class Paper implements Chardev {
        private final String id;
        private final StringBuilder text = new StringBuilder();
        private boolean taken;

        Paper(String id) {
            this.id = id;
        }

        String text() {
            return text.toString();
        }

        @Override
        public String id() {
            return id;
        }

        @Override
        public String filename() {
            return "paper";
        }

        @Override
        public boolean frontendOpen() {
            return taken;
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
        public Attachment attach(ChardevFrontend frontend, EventLoop loop) throws ChardevException {
            if (taken) {
                throw new ChardevException("chardev '" + id + "' is already in use");
            }
            taken = true;
            return fake(
                    Attachment.class,
                    (name, args) -> {
                        if (name.equals("write")) {
                            ByteBuffer data = (ByteBuffer) args[0];
                            while (data.hasRemaining()) {
                                text.append((char) (data.get() & 0xff));
                            }
                        }
                        return switch (name) {
                            case "connected" -> true;
                            case "pending" -> 0L;
                            default -> null;
                        };
                    });
        }

        @Override
        public void close() {}
    }

    /** The character device of that name; made when it is first asked for. */
    Paper chardev(String id) {
        return chardevs.computeIfAbsent(id, Paper::new);
    }

    private ObjectTree objects() {
        return objects;
    }

    private Vmm newVmm() {
        MachineLock lock = new MachineLock();
        Clocks clocks = this::now;
        EventLoop loop =
                fake(
                        EventLoop.class,
                        (name, args) ->
                                switch (name) {
                                    case "timer" ->
                                            new Alarm((ClockType) args[0], (Runnable) args[1]);
                                    case "clocks" -> clocks;
                                    default -> null;
                                });
        RunControl run =
                fake(
                        RunControl.class,
                        (name, args) -> {
                            if (name.equals("onPowerButton")) {
                                powerButton = (Runnable) args[0];
                            } else {
                                requests.add(name);
                            }
                            return null;
                        });
        return fake(
                Vmm.class,
                (name, args) ->
                        switch (name) {
                            case "lock" -> lock;
                            case "clocks" -> clocks;
                            case "mainLoop" -> loop;
                            case "state" -> state;
                            case "run" -> run;
                            case "objects" -> objects();
                            case "hmp" -> hmp;
                            case "machine" -> this;
                            case "emit" -> events.add((QmpEvent) args[0]);
                            case "publish" -> services.put((Class<?>) args[0], args[1]);
                            case "find" -> Optional.ofNullable(services.get((Class<?>) args[0]));
                            case "service" -> services.get((Class<?>) args[0]);
                            default -> null;
                        });
    }

    /** Answers for an interface whose methods are not all needed. */
    interface Answers {
        @Nullable Object answer(String name, Object[] args);
    }

    static <T> T fake(Class<T> type, Answers answers) {
        return type.cast(
                Proxy.newProxyInstance(
                        type.getClassLoader(),
                        new Class<?>[] {type},
                        (self, method, args) ->
                                answers.answer(
                                        method.getName(), args == null ? new Object[0] : args)));
    }

    @Override
    public IntervalTimer intervalTimer() {
        return timer;
    }

    @Override
    public void registerInterruptControllers() {}

    @Override
    public void registerIntervalTimer() {}

    Vmm vmm() {
        return vmm;
    }

    @Override
    public EventLoop loop() {
        return vmm.mainLoop();
    }

    @Override
    public Clocks clocks() {
        return vmm.clocks();
    }

    @Override
    public <T> Optional<T> find(Class<T> type) {
        return vmm.find(type);
    }

    @Override
    public <T> T service(Class<T> type) {
        return vmm.service(type);
    }

    @Override
    public String type() {
        return "pc-i440fx-7.2";
    }

    @Override
    public AddressSpace memory() {
        return memory;
    }

    @Override
    public AddressSpace ports() {
        return ports;
    }

    @Override
    public GuestMemory dma() {
        return dma;
    }

    @Override
    public long ramSize() {
        return ram.usedLength();
    }

    @Override
    public RamBlock ram() {
        return ram;
    }

    @Override
    public RamBlock newBlock(String name, long length, long maxLength) {
        try {
            RamBlock block = new AnonymousRam(name, length, maxLength);
            blocks.add(block);
            return block;
        } catch (LinuxException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public List<RamBlock> blocks() {
        return blocks;
    }

    @Override
    public int physicalBits() {
        return 40;
    }

    @Override
    public DirtyLog dirtyLog() {
        throw new UnsupportedOperationException();
    }

    @Override
    public Irq gsi(int n) {
        return level -> {
            if (level && !wires[n]) {
                rises[n]++;
            }
            wires[n] = level;
        };
    }

    @Override
    public void signalMessage(long address, int data) {
        requests.add("message %x %x".formatted(address, data));
    }

    @Override
    public StateRegistry state() {
        return state;
    }

    @Override
    public VcpuGroup vcpus() {
        throw new UnsupportedOperationException();
    }

    @Override
    public void onReset(Runnable reset) {
        resets.add(reset);
    }

    @Override
    public void dropReset(Runnable reset) {
        resets.remove(reset);
    }

    @Override
    public void dropBlock(RamBlock block) {
        blocks.remove(block);
        ((AnonymousRam) block).close();
    }

    /** What lies where. */
    String mapped() {
        return memory.describe() + ports.describe();
    }

    /** How many things devices have taken of the machine, by kind. */
    Map<String, Integer> taken() {
        return Map.of(
                "memory", memory.describe().split("\n", -1).length,
                "ports", ports.describe().split("\n", -1).length,
                "sections", state.sections().size(),
                "resets", resets.size(),
                "blocks", blocks.size(),
                "alarms", alarms.size(),
                "nodes", nodes(objects.root()));
    }

    private static int nodes(ObjectTree.Node node) {
        return 1 + node.children().stream().mapToInt(FakeCore::nodes).sum();
    }

    @Override
    public void reset() {
        List.copyOf(resets).forEach(Runnable::run);
    }
}
