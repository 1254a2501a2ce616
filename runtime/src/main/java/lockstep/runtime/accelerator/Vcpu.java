package lockstep.runtime.accelerator;

import lockstep.runtime.cpu.LocalApic;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.linux.Signals;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.trace.InternalFailure;

import org.jspecify.annotations.Nullable;

/**
 * One vCPU: its thread, and its state. The thread takes the machine lock for each device access. Other threads take it
 * out of the guest with {@link #requestStop}; it then parks until it is let go on. An accelerator says how the guest is
 * entered and how the state is moved.
 */
public abstract class Vcpu {
    /** What the vCPUs of a machine share. */
    public interface Owner {
        /** The machine lock. */
        MachineLock lock();

        /** Guest physical memory. */
        RegionMap memory();

        /** The ports. */
        RegionMap ports();

        /** A vCPU stands still, of which the lock's holder is told. Called with the lock held. */
        void parked();

        /** Waits until something changed. Called with the lock held, which is released meanwhile. */
        void awaitChange();

        /** The vCPU hit something that ends or restarts the guest. No lock held. */
        void event(Vcpu vcpu, Event event, String text);
    }

    /** What a vCPU reports to run control. */
    public enum Event {
        /** A fault while a double fault was being delivered. */
        TRIPLE_FAULT,
        /** The guest asked the accelerator for a reset. */
        RESET,
        /** The guest asked the accelerator to be powered off. */
        SHUTDOWN,
        /** The guest told the accelerator that it crashed. */
        CRASH,
        /** The processor cannot go on. */
        INTERNAL_ERROR
    }

    /** The registers as the migration stream has them; true while the vCPU is parked and was fetched. */
    public final VcpuState state = new VcpuState();

    /** The local APIC likewise. */
    public final LocalApic apic;

    /** What the vCPUs share. */
    protected final Owner owner;

    /** In {@link #requests}: an interrupt that the local APIC or the PIC has for it. */
    protected static final int HARD = 0x2;

    /** In {@link #requests}: a non-maskable interrupt. */
    protected static final int NMI = 0x200;

    /** In {@link #requests}: an INIT. */
    protected static final int INIT = 0x400;

    /** In {@link #requests}: a start-up message, whose vector the local APIC has. */
    protected static final int SIPI = 0x800;

    /** What waits for a software processor, as "cpu_common" has it; goes along with {@link #state}. */
    protected int requests;

    private final int index;
    private final int signature;
    private final String threadName;
    private volatile @Nullable Thread thread;
    private volatile int threadId;
    private volatile boolean stopRequested = true;
    private volatile boolean ending;
    // Under the machine lock.
    private boolean parked;
    private boolean ended;

    /** Not started yet; {@code engine} is the end of the thread's name, as {@code -name debug-threads=on} shows it. */
    protected Vcpu(VcpuModel model, String engine, Owner owner) {
        this.index = model.index();
        this.signature = model.signature();
        this.owner = owner;
        apic = new LocalApic(index);
        state.physicalBits = model.physicalBits();
        state.sendsErrorCode = model.sendsErrorCode();
        this.threadName = "CPU " + index + "/" + engine;
    }

    /** Its number. */
    public final int index() {
        return index;
    }

    /** Starts the thread, which parks at once. */
    final void start() {
        Thread made = Thread.ofPlatform().name(threadName).daemon(true).unstarted(this::loop);
        thread = made;
        made.start();
    }

    // ---- what an accelerator says

    /** Prepares the thread, first thing on it. */
    protected abstract void prepare();

    /**
     * Runs the guest until something happens, and deals with that; on the vCPU's thread, without the machine lock. It
     * returns soon where {@link #stopping} is true.
     *
     * @return whether the vCPU stands between two instructions, where its state can be moved
     */
    protected abstract boolean enter();

    /** Has the present or next {@link #enter} return. Any thread. */
    public abstract void kick();

    /** Brings {@link #state} and {@link #apic} up to date; {@code now} is guest time. While parked. */
    protected abstract void fetch(long now) throws AcceleratorException;

    /** Puts {@link #state} and {@link #apic} in force. While parked. */
    protected abstract void store(long now) throws AcceleratorException;

    /** Raises a non-maskable interrupt. While parked. */
    protected abstract void injectNmi();

    /** The guest was stopped and is about to go on, which its watchdogs should know. While parked. */
    protected abstract void tellStopped();

    /** Frees what the vCPU has; its thread has ended. */
    protected abstract void free();

    // ---- stop and go

    /** Whether the caller is the vCPU's thread. */
    protected final boolean isCurrentThread() {
        return Thread.currentThread() == thread;
    }

    /** Whether the vCPU stands still. Under the machine lock. */
    final boolean parked() {
        return parked;
    }

    /** Whether the vCPU was asked to park or to end. Any thread. */
    protected final boolean stopping() {
        return stopRequested;
    }

    /** Asks the vCPU to park soon. Under the machine lock. */
    final void requestStop() {
        stopRequested = true;
        if (!parked) {
            kick();
        }
    }

    /** Lets the vCPU run again. Under the machine lock; the caller signals the change. */
    final void letGo() {
        stopRequested = false;
    }

    /** Ends the thread. Under the machine lock; join it afterwards without the lock. */
    final void requestEnd() {
        ending = true;
        requestStop();
    }

    /** Whether the thread has left its loop. Under the machine lock. */
    final boolean ended() {
        return ended;
    }

    /** The kernel's number of the thread; 0 before it runs and after its end. */
    protected final int threadId() {
        return threadId;
    }

    /** The state after RESET. While parked. */
    final void reset(long now) throws AcceleratorException {
        boolean bootstrap = index == 0;
        apic.reset(bootstrap);
        state.reset(signature, bootstrap);
        requests = 0;
        store(now);
    }

    // ---- the vCPU's thread

    private void loop() {
        prepare();
        threadId = Signals.currentThread();
        park();
        while (!ending) {
            boolean between;
            try {
                between = enter();
            } catch (RuntimeException | Error t) {
                InternalFailure.log("the machine", t);
                fail(InternalFailure.text("the machine", t));
                between = false;
            }
            if (between && stopRequested) {
                park();
            }
        }
        MachineLock lock = owner.lock();
        lock.acquire();
        ended = true;
        threadId = 0;
        owner.parked();
        lock.release();
    }

    private void park() {
        MachineLock lock = owner.lock();
        lock.acquire();
        try {
            parked = true;
            owner.parked();
            while (stopRequested && !ending) {
                owner.awaitChange();
            }
            parked = false;
        } finally {
            lock.release();
        }
    }

    /** Stands still for good, with a message for the user. */
    protected final void fail(String text) {
        stopSelf(Event.INTERNAL_ERROR, text);
    }

    /** Does not enter the guest again until run control says so. */
    protected final void stopSelf(Event event, String text) {
        stopRequested = true;
        owner.event(this, event, text);
    }
}
