package lockstep.runtime.jvm;

import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.accelerator.VcpuModel;
import lockstep.runtime.chip.Apic;
import lockstep.runtime.chip.ChipSet;
import lockstep.runtime.chip.InterruptTarget;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.linux.HostTicks;
import lockstep.runtime.loop.Clocks;
import lockstep.x86.Bus;
import lockstep.x86.CpuidTable;
import lockstep.x86.MsrException;
import lockstep.x86.Processor;
import lockstep.x86.Registers;

/** A vCPU in software: its thread runs the processor in its turns, and serves what the processor asks of the machine. */
final class JvmVcpu extends Vcpu implements InterruptTarget, Bus, Turn.Player {
    private static final int INDEXED = 1;

    private final Apic chip;
    private final Processor processor;
    private final Turn turn;
    private final Clocks clocks;
    private final JvmMsrs msrs;
    private final Registers registers = new Registers();
    private final int signature;
    private final Object work = new Object();

    private volatile Timestamp timestamp = Timestamp.of(1, 0, 0);

    JvmVcpu(
            VcpuModel model,
            ChipSet chips,
            JvmMemory memory,
            Turn turn,
            Clocks clocks,
            Owner owner) {
        super(model, "JVM", owner);
        this.turn = turn;
        this.clocks = clocks;
        signature = model.signature();
        int physicalBits = model.physicalBits();
        CpuidTable cpuid =
                new CpuidTable(
                        model.leaves().stream()
                                .map(
                                        l ->
                                                new CpuidTable.Leaf(
                                                        l.function(),
                                                        l.index(),
                                                        (l.flags() & INDEXED) != 0,
                                                        l.eax(),
                                                        l.ebx(),
                                                        l.ecx(),
                                                        l.edx()))
                                .toList(),
                        physicalBits);
        processor = new Processor(this, memory.physical(), cpuid);
        memory.add(processor);
        chip = chips.newApic(apic, this);
        msrs = new JvmMsrs(state, chip, physicalBits);
    }

    // ---- the vCPU's thread

    @Override
    protected void prepare() {}

    @Override
    protected boolean enter() {
        turn.take(this);
        Processor.Exit exit;
        try {
            exit = processor.run();
        } finally {
            turn.give(this);
        }
        switch (exit) {
            case HALTED -> sleep();
            case TRIPLE_FAULT -> stopSelf(Event.TRIPLE_FAULT, "triple fault");
            case INIT -> init();
            case START_UP -> {
                int vector = chip.start();
                if (vector >= 0) {
                    processor.start(vector);
                }
            }
            case KICKED -> {}
        }
        return true;
    }

    private void sleep() {
        synchronized (work) {
            while (!stopping() && !processor.awake()) {
                try {
                    work.wait();
                } catch (InterruptedException e) {
                    Thread.onSpinWait();
                }
            }
        }
    }

    /** What INIT leaves: like a reset, but for the time stamp counter, floating point, and most model-specific registers. */
    private void init() {
        chip.init();
        processor.save(registers);
        JvmState.init(registers, state, signature, chip.waiting());
        processor.load(registers);
    }

    @Override
    public void kick() {
        processor.kick();
        synchronized (work) {
            work.notifyAll();
        }
    }

    /** Another vCPU waits for its turn. */
    @Override
    public void yield() {
        processor.kick();
    }

    // ---- the APIC's side

    @Override
    public void changed() {
        int asked = chip.requests();
        processor.interrupt((asked & Apic.INTERRUPT) != 0);
        if ((asked & Apic.NMI) != 0 && chip.take(Apic.NMI)) {
            processor.nmi();
        }
        if ((asked & Apic.INIT) != 0) {
            processor.init(); // taken back when it has been done
        }
        if ((asked & Apic.SIPI) != 0) {
            processor.startUp(0);
        }
        if ((asked & Apic.SMI) != 0) {
            chip.take(Apic.SMI); // there is no system management mode
        }
        synchronized (work) {
            work.notifyAll();
        }
    }

    @Override
    public boolean current() {
        return isCurrentThread();
    }

    @Override
    public long timeOf(long tsc) {
        return timestamp.timeOf(tsc);
    }

    // ---- state

    @Override
    protected void fetch(long now) {
        processor.save(registers);
        JvmState.fetch(registers, state);
        state.mpState =
                registers.waitsForStart
                        ? VcpuState.NOT_STARTED
                        : registers.halted ? VcpuState.HALTED : VcpuState.RUNNABLE;
        state.tsc = timestamp.at(now);
        state.tscKhz = timestamp.kilohertz();
        state.tscDeadline = chip.deadline();
        int waiting = chip.requests();
        requests =
                ((waiting & Apic.INTERRUPT) != 0 ? HARD : 0)
                        | (processor.nmiWaits() ? NMI : 0)
                        | ((waiting & Apic.INIT) != 0 ? INIT : 0)
                        | ((waiting & Apic.SIPI) != 0 ? SIPI : 0);
    }

    @Override
    protected void store(long now) {
        JvmState.store(state, registers);
        registers.halted = state.mpState == VcpuState.HALTED;
        registers.waitsForStart = state.mpState != VcpuState.RUNNABLE && !registers.halted;
        timestamp = Timestamp.of(rate(), state.tsc, now);
        processor.forgetRequests();
        processor.load(registers);
        chip.loaded();
        chip.deadline(state.tscDeadline);
        if (state.nmiPending != 0) {
            processor.nmi();
        }
        if ((requests & INIT) != 0) {
            chip.request(Apic.INIT);
        }
        if ((requests & SIPI) != 0) {
            chip.request(Apic.SIPI);
        }
    }

    /** A guest that brings no rate was used to that of the host, as QEMU's emulated processors have it. */
    private long rate() {
        boolean told = state.tscKhz > 0 && state.tscKhz <= Integer.MAX_VALUE;
        return told ? state.tscKhz : HostTicks.kilohertz();
    }

    @Override
    protected void injectNmi() {
        chip.request(Apic.NMI);
    }

    @Override
    protected void tellStopped() {}

    @Override
    protected void free() {}

    // ---- what the processor asks for, in its turn

    // A device is reached without the turn, with the machine lock.

    private void outside() {
        leaveTurn();
        owner.lock().acquire();
    }

    private void inside() {
        owner.lock().release();
        takeTurn();
    }

    private void leaveTurn() {
        processor.leave();
        turn.give(this);
    }

    private void takeTurn() {
        turn.take(this);
        processor.enter();
    }

    @Override
    public void alone(Runnable change) {
        leaveTurn();
        turn.close();
        try {
            processor.enter();
            change.run();
        } finally {
            processor.leave();
            turn.open();
            takeTurn();
        }
    }

    @Override
    public long readMemory(long address, int size) {
        outside();
        try {
            return owner.memory().read(address, size);
        } finally {
            inside();
        }
    }

    @Override
    public void writeMemory(long address, int size, long value) {
        outside();
        try {
            owner.memory().write(address, size, value);
        } finally {
            inside();
        }
    }

    @Override
    public int readPort(int port, int size) {
        outside();
        try {
            return (int) owner.ports().read(port, size);
        } finally {
            inside();
        }
    }

    @Override
    public void writePort(int port, int size, int value) {
        outside();
        try {
            owner.ports().write(port, size, value & 0xffffffffL);
        } finally {
            inside();
        }
    }

    @Override
    public int acknowledge() {
        return chip.acknowledge();
    }

    @Override
    public long timestamp() {
        return timestamp.at(clocks.virtual());
    }

    @Override
    public void setTimestamp(long value) {
        timestamp = Timestamp.of(timestamp.kilohertz(), value, clocks.virtual());
    }

    @Override
    public long readMsr(int number) throws MsrException {
        return msrs.read(number);
    }

    @Override
    public void writeMsr(int number, long value) throws MsrException {
        msrs.write(number, value);
    }

    @Override
    public int taskPriority() {
        return chip.cr8();
    }

    @Override
    public void setTaskPriority(int priority) {
        chip.cr8(priority);
    }

    @Override
    public void pause() {
        if (turn.wanted()) {
            processor.kick();
        } else {
            Thread.yield(); // the one that it waits for may have no processor of the host's
        }
    }
}
