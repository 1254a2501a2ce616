package lockstep.runtime.testmachine;

import lockstep.api.ColoExitEvent;
import lockstep.api.MigrationEvent;
import lockstep.qmp.CommandTable;
import lockstep.qmp.QmpEvent;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.machine.VcpuGroup;
import lockstep.runtime.migration.ColoHandler;
import lockstep.runtime.migration.MigrationRoom;
import lockstep.runtime.migration.MigrationService;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.monitor.YankRegistry;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.process.ObjectRegistry;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Room;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The services around a machine, of which a test sees what the machine does with them. */
public final class TestProcess implements Vmm {
    /** When the clock of the host stands: in November 2026. */
    private static final long TODAY = 1_795_000_000_000_000_000L;

    private final MachineLock lock = new MachineLock();
    private final SteppedLoop loop = new SteppedLoop("main loop");
    private final Journal journal = new Journal();
    private final List<QmpEvent> events = Collections.synchronizedList(new ArrayList<>());
    private final StateRegistry state = new StateRegistry();
    private final NotedRun run = new NotedRun(this);
    private final CommandTable commands = new CommandTable();
    private final HmpTable hmp = new HmpTable();
    private final YankRegistry yank = new YankRegistry();
    private final ObjectTree objects = new ObjectRegistry(this);
    private final Map<Class<?>, Object> services = new HashMap<>();
    private final Map<String, Paper> papers = new HashMap<>();
    private final Chardevs chardevs =
            new Chardevs() {
                @Override
                public @Nullable Chardev find(String id) {
                    return papers.get(id);
                }

                @Override
                public Collection<Chardev> all() {
                    return List.copyOf(papers.values());
                }
            };
    private @Nullable Machine machine;

    TestProcess() {
        loop.set(ClockType.HOST, TODAY);
        publish(Chardevs.class, chardevs);
        publish(RunControl.class, run);
    }

    void machine(Machine made) {
        machine = made;
    }

    /** What was asked of the process and told the world. */
    public Journal journal() {
        return journal;
    }

    /** What was sent to QMP clients. */
    public List<QmpEvent> events() {
        return events;
    }

    /** The character device of that name; made when it is first asked for. */
    public Paper paper(String id) {
        return papers.computeIfAbsent(id, Paper::new);
    }

    /** Puts a room into the process; of what it offers, its commands can be had. */
    public void install(Room room) {
        room.install(
                Fake.of(
                        Registration.class,
                        (method, arguments) -> method.equals("commands") ? commands : null),
                this);
    }

    /** The commands of the rooms that were installed. */
    public CommandTable commands() {
        return commands;
    }

    /** Puts migration into the process, with what is to lead COLO; its section comes after those there are. */
    public MigrationService migration(ColoHandler colo) {
        publish(ColoHandler.class, colo);
        install(new MigrationRoom());
        return service(MigrationService.class);
    }

    int listening() {
        return run.listening();
    }

    int services() {
        return services.size();
    }

    Optional<VcpuGroup> vcpus() {
        return Optional.ofNullable(machine).map(Machine::vcpus);
    }

    @Override
    public SteppedLoop mainLoop() {
        return loop;
    }

    @Override
    public MachineLock lock() {
        return lock;
    }

    @Override
    public Clocks clocks() {
        return loop.clocks();
    }

    @Override
    public StateRegistry state() {
        return state;
    }

    @Override
    public RunControl run() {
        return run;
    }

    @Override
    public Chardevs chardevs() {
        return chardevs;
    }

    @Override
    public HmpTable hmp() {
        return hmp;
    }

    @Override
    public ObjectTree objects() {
        return objects;
    }

    @Override
    public @Nullable Machine machine() {
        return machine;
    }

    @Override
    public YankRegistry yank() {
        return yank;
    }

    @Override
    public <T> void publish(Class<T> type, T service) {
        services.put(type, service);
    }

    @Override
    public void withdraw(Class<?> type) {
        services.remove(type);
    }

    @Override
    public <T> Optional<T> find(Class<T> type) {
        return Optional.ofNullable(services.get(type)).map(type::cast);
    }

    @Override
    public <T> T service(Class<T> type) {
        return find(type).orElseThrow(() -> new IllegalStateException("no " + type.getName()));
    }

    @Override
    public void emit(QmpEvent event) {
        events.add(event);
        journal.add(
                switch (event) {
                    case MigrationEvent m -> "MIGRATION " + m.status().wireName();
                    case ColoExitEvent c ->
                            "COLO_EXIT " + c.mode().wireName() + " " + c.reason().wireName();
                    default -> event.eventName();
                });
    }

    @Override
    public void report(String message) {
        journal.add("report: " + message);
    }

    @Override
    public void warn(String message) {
        journal.add("warning: " + message);
    }

    @Override
    public void leave(int status) {
        journal.add("leave " + status);
    }

    @Override
    public @Nullable Fd takeNamedDescriptor(String name) {
        return null;
    }

    @Override
    public boolean starting() {
        return false;
    }

    @Override
    public @Nullable Accelerator accelerator() {
        return null;
    }

    @Override
    public List<AcceleratorType> acceleratorTypes() {
        return List.of();
    }

    @Override
    public boolean defaults() {
        return false;
    }

    @Override
    public @Nullable String name() {
        return null;
    }

    @Override
    public List<String> firmwareDirectories() {
        return List.of();
    }
}
