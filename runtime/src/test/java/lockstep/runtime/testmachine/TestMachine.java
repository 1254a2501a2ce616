package lockstep.runtime.testmachine;

import lockstep.qmp.QmpEvent;
import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.qtest.QtestType;
import lockstep.runtime.vmstate.StateRegistry;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A machine that does nothing by itself: the core of a PC on the accelerator {@code qtest}, with the memory, interrupt
 * controllers, timer and sections that users have there. Time passes by {@link #advance}, and interrupt inputs are
 * watched. Used by one thread, unless the process's loop was started.
 */
public final class TestMachine implements AutoCloseable {
    private static final int INPUTS = 24;

    private final TestProcess process = new TestProcess();
    private final boolean[] wires = new boolean[INPUTS];
    private final int[] rises = new int[INPUTS];
    private final AcceleratedMachine machine;
    private final CoreMachine core;
    private final List<Object> resetHooks = new ArrayList<>();

    /** A PC of QEMU 7.2 without vCPUs. */
    public TestMachine(long ramSize) {
        this("pc-i440fx-7.2", ramSize, 0);
    }

    /**
     * A machine that nothing is mapped in.
     *
     * @param type the machine type's versioned name
     * @param ramSize bytes of RAM, whole pages
     * @param vcpus how many
     */
    public TestMachine(String type, long ramSize, int vcpus) {
        Accelerator accelerator = new QtestType().open(Map.of(), process.mainLoop());
        accelerator.interrupts().tap(this::driven);
        try {
            machine =
                    new AcceleratedMachine(
                            process, accelerator, type, ramSize, null, vcpus, "qemu64,kvm=off");
        } catch (AcceleratorException e) {
            throw new IllegalStateException(e);
        }
        core = counting();
        process.machine(core);
    }

    /** A machine whose address space is RAM and then nothing. */
    public static TestMachine ofRam(long size) {
        TestMachine made = new TestMachine(size);
        made.machine.memory().mapRam("ram", 0, size, made.machine.ram(), 0, 0);
        return made;
    }

    private void driven(int input, boolean level) {
        if (level && !wires[input]) {
            rises[input]++;
        }
        wires[input] = level;
    }

    /** The machine, except that messages are noted, and that it is known who wants to be told of a reset. */
    private CoreMachine counting() {
        return (CoreMachine)
                Proxy.newProxyInstance(
                        CoreMachine.class.getClassLoader(),
                        new Class<?>[] {CoreMachine.class},
                        (self, method, arguments) -> {
                            switch (method.getName()) {
                                case "onReset" -> resetHooks.add(arguments[0]);
                                case "dropReset" -> resetHooks.remove(arguments[0]);
                                case "signalMessage" ->
                                        journal().add("message %x %x".formatted(arguments));
                                default -> {}
                            }
                            try {
                                return method.invoke(machine, arguments);
                            } catch (InvocationTargetException e) {
                                throw e.getCause();
                            }
                        });
    }

    /** What a board is built on. */
    public CoreMachine core() {
        return core;
    }

    /** The process around it. */
    public TestProcess vmm() {
        return process;
    }

    /** Ports. */
    public AddressSpace ports() {
        return machine.ports();
    }

    /** Physical addresses. */
    public AddressSpace memory() {
        return machine.memory();
    }

    /** Memory as bus masters see it. */
    public GuestMemory dma() {
        return machine.dma();
    }

    /** The sections. */
    public StateRegistry state() {
        return process.state();
    }

    /** What was asked of the process and told the world. */
    public Journal journal() {
        return process.journal();
    }

    /** What was sent to QMP clients. */
    public List<QmpEvent> events() {
        return process.events();
    }

    /** Whether an interrupt input is up. */
    public boolean wire(int input) {
        return wires[input];
    }

    /** The level of each interrupt input. */
    public boolean[] wires() {
        return wires.clone();
    }

    /** How often an interrupt input went up. */
    public int rises(int input) {
        return rises[input];
    }

    /** Runs what was posted, lets time pass on all clocks and runs what is due. */
    public void advance(long nanos) {
        process.mainLoop().advance(nanos);
    }

    /** System reset. */
    public void reset() {
        process.lock().run(machine::reset);
    }

    /** What lies where. */
    public String mapped() {
        return described(machine.memory()) + described(machine.ports());
    }

    /** How many things devices have taken of the machine, by kind. */
    public Map<String, Integer> taken() {
        return new HashMap<>(
                Map.of(
                        "memory", lines(machine.memory()),
                        "ports", lines(machine.ports()),
                        "sections", state().sections().size(),
                        "resets", resetHooks.size(),
                        "blocks", machine.blocks().size(),
                        "alarms", process.mainLoop().armed(),
                        "listeners", process.listening(),
                        "services", process.services(),
                        "nodes", nodes(process.objects().root())));
    }

    private static String described(AddressSpace space) {
        return ((RegionMap) space).describe();
    }

    private static int lines(AddressSpace space) {
        return (int) described(space).lines().count();
    }

    private static int nodes(ObjectTree.Node node) {
        return 1 + node.children().stream().mapToInt(TestMachine::nodes).sum();
    }

    /** Ends vCPUs and loop, and unmaps the memory, which nobody may use any more. */
    @Override
    public void close() {
        process.mainLoop().close();
        process.lock().run(machine::close);
    }
}
