package lockstep.runtime.testmachine;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.accelerator.GuestClock;
import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.MemoryAccelerator;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateSection;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.stream.IntStream;

/** An accelerator for one machine, whose vCPUs stay where they are; it notes what the machine drives. */
public final class StillAccelerator implements AcceleratorType, Accelerator {
    private static final int INPUTS = 24;

    /** A processor that has whatever a guest may be given. */
    private static final List<CpuidLeaf> ALL_FEATURES =
            IntStream.of(1, 6, 7, 0xd, 0x4000_0001, 0x8000_0001, 0x8000_0007, 0x8000_000a)
                    .mapToObj(function -> new CpuidLeaf(function, 0, 0, -1, -1, -1, -1))
                    .toList();

    private final Journal journal;
    private final boolean[] wires = new boolean[INPUTS];
    private final int[] rises = new int[INPUTS];
    private final List<Vcpu> vcpus = new ArrayList<>();

    /** Notes messages to interrupt controllers, and the like, in a journal. */
    public StillAccelerator(Journal journal) {
        this.journal = journal;
    }

    /** The level of each interrupt input. */
    public boolean[] wires() {
        return wires;
    }

    /** How often each interrupt input went up. */
    public int[] rises() {
        return rises;
    }

    /** A vCPU; its {@code state} is in force. */
    public Vcpu vcpu(int index) {
        return vcpus.get(index);
    }

    @Override
    public String name() {
        return "still";
    }

    @Override
    public String title() {
        return "a test";
    }

    @Override
    public Accelerator open(Map<String, String> given, EventLoop loop) {
        return this;
    }

    @Override
    public AcceleratorType type() {
        return this;
    }

    @Override
    public List<CpuidLeaf> supportedCpuid() {
        return ALL_FEATURES;
    }

    @Override
    public int maxVcpus() {
        return 255;
    }

    @Override
    public MemoryAccelerator memory() {
        return new MemoryAccelerator() {
            @Override
            public void map(List<Piece> pieces) {}

            @Override
            public void logWrites(boolean on) {}

            @Override
            public void syncLog(AnonymousRam block) {}
        };
    }

    @Override
    public InterruptControllers interrupts() {
        return new InterruptControllers() {
            @Override
            public Irq gsi(int n) {
                return level -> drive(n, level);
            }

            @Override
            public boolean signalMsi(long address, int data) {
                journal.add("message %x %x".formatted(address, data));
                return true;
            }

            @Override
            public void reset() {}

            @Override
            public List<StateSection> sections() {
                return List.of();
            }
        };
    }

    private void drive(int input, boolean level) {
        if (level && !wires[input]) {
            rises[input]++;
        }
        wires[input] = level;
    }

    @Override
    public IntervalTimer newTimer(Clocks clocks) {
        return new Timer();
    }

    @Override
    public Vcpu newVcpu(VcpuModel model, Vcpu.Owner owner) {
        Vcpu made = new Still(model, owner);
        vcpus.add(made);
        return made;
    }

    @Override
    public Optional<GuestClock> newGuestClock(Vcpu first, GuestMemory memory) {
        return Optional.empty();
    }

    @Override
    public void close() {}

    /** Is in the guest, and does nothing there, until it is wanted elsewhere. */
    private final class Still extends Vcpu {
        private final Semaphore kicks = new Semaphore(0);

        Still(VcpuModel model, Owner owner) {
            super(model, "STILL", owner);
        }

        @Override
        protected void prepare() {}

        @Override
        protected boolean enter() {
            if (!stopping()) {
                kicks.acquireUninterruptibly();
            }
            return true;
        }

        @Override
        public void kick() {
            kicks.release();
        }

        @Override
        protected void fetch(long now) {}

        @Override
        protected void store(long now) {}

        @Override
        protected void injectNmi() {
            journal.add("nmi " + index());
        }

        @Override
        protected void tellStopped() {}

        @Override
        protected void free() {}
    }

    /** An 8254 that does not count. */
    private final class Timer implements IntervalTimer {
        private final boolean[] gates = new boolean[3];

        @Override
        public boolean output(int channel) {
            return false;
        }

        @Override
        public boolean gate(int channel) {
            return gates[channel];
        }

        @Override
        public void gate(int channel, boolean level) {
            gates[channel] = level;
        }

        @Override
        public void replaced(boolean replaced) {
            journal.add("timerReplaced " + replaced);
        }

        @Override
        public void reset() {}

        @Override
        public void paused() {}

        @Override
        public void resuming() {}

        @Override
        public String name() {
            return "i8254";
        }

        @Override
        public int version() {
            return 3;
        }

        @Override
        public boolean needed() {
            return false;
        }

        @Override
        public void describe(StateCodec c) {}
    }
}
