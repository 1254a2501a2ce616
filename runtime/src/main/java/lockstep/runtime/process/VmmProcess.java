package lockstep.runtime.process;

import lockstep.api.ObjectOptions;
import lockstep.api.ShutdownCause;
import lockstep.api.YankInstance;
import lockstep.api.YankInstanceChardev;
import lockstep.qmp.CommandTable;
import lockstep.qmp.NumberText;
import lockstep.qmp.QmpEvent;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevHost;
import lockstep.runtime.chardev.ChardevTable;
import lockstep.runtime.chardev.Chardevs;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.linux.HostProcess;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.SignalPipe;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.Host;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.monitor.Monitors;
import lockstep.runtime.monitor.YankRegistry;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.OptionTable;
import lockstep.runtime.option.StartPhase;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.spi.Ending;
import lockstep.runtime.spi.MachineType;
import lockstep.runtime.spi.ObjectFactory;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.tls.TlsEnd;
import lockstep.runtime.trace.InternalFailure;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** One virtual machine process: the context, and the parts that are the runtime's own. */
public final class VmmProcess implements Vmm, Registration, ChardevHost {
    private final String program;
    private final MachineLock lock = new MachineLock();
    private final VmClocks clocks = new VmClocks();
    private final EpollLoop loop;
    private final StateRegistry state = new StateRegistry();
    private final CommandTable commands = new CommandTable();
    private final HmpTable hmp = new HmpTable();
    private final YankRegistry yank = new YankRegistry();
    private final ChardevTable chardevs;
    private final Monitors monitors;
    private final ObjectRegistry objects;
    private final RunController run;
    private final DeviceManager devices;
    private final Settings settings;
    private final OptionTable options = new OptionTable();
    private final List<AcceleratorType> acceleratorTypes = new ArrayList<>();
    private final Map<String, MachineType<?>> machineTypes = new LinkedHashMap<>();
    private final Map<Class<?>, Object> services = new HashMap<>();
    private final Map<String, Fd> descriptors = new HashMap<>();
    private final Shutdown shutdown = new Shutdown(this);
    private @Nullable Accelerator accelerator;
    private @Nullable Machine machine;
    private volatile boolean started;

    /** With nothing in it; {@code program} is what messages begin with, {@code settings} fill while options are read. */
    public VmmProcess(String program, Settings settings) throws LinuxException {
        this.program = program;
        this.settings = settings;
        loop = new EpollLoop("main", clocks, lock, this::callbackFailed);
        chardevs = new ChardevTable(this);
        monitors = new Monitors(loop, this::monitorLoop, commands, hmp, shutdown::expect);
        objects = new ObjectRegistry(this);
        run = new RunController(this, clocks, () -> leave(0));
        devices = new DeviceManager(this);
        publish(Chardevs.class, chardevs);
        publish(RunControl.class, run);
        publish(Host.class, this);
        commands.availableWhen(command -> started);
        hmp.availableWhen(() -> started);
        commands.onFailure((name, e) -> InternalFailure.log("command '" + name + "'", e));
    }

    private EpollLoop monitorLoop() {
        try {
            return new EpollLoop("monitor", clocks, null, this::callbackFailed);
        } catch (LinuxException e) {
            throw new IllegalStateException("cannot make the monitor's loop", e);
        }
    }

    private void callbackFailed(String name, Throwable failure) {
        internalError("loop '" + name + "'", failure);
    }

    /** Tells the user in one line about a mistake of this program. */
    public void internalError(String place, Throwable failure) {
        report(InternalFailure.text(place, failure));
        InternalFailure.log(place, failure);
    }

    /** The name that the program was called by. */
    public String program() {
        return program;
    }

    /** The loop, for the main program to run. */
    public EpollLoop loop() {
        return loop;
    }

    /** The settings of the command line. */
    public Settings settings() {
        return settings;
    }

    /** The options. */
    public OptionTable options() {
        return options;
    }

    /** The monitors. */
    public Monitors monitors() {
        return monitors;
    }

    /** The devices of {@code -device} and device_add. */
    public DeviceManager devices() {
        return devices;
    }

    /** The kinds of board. */
    public List<MachineType<?>> machineTypes() {
        return List.copyOf(machineTypes.values());
    }

    /** Says what runs the guest, or would with {@code -machine none}. */
    public void accelerator(Accelerator chosen) {
        accelerator = chosen;
    }

    @Override
    public @Nullable Accelerator accelerator() {
        return accelerator;
    }

    /** Puts the board in place. */
    public void machine(Machine board) {
        machine = board;
    }

    /**
     * Has the process end orderly, with exit status 0, when one of the signals arrives, and at once when another one
     * follows. They are read on a thread of their own: the main loop may be stuck.
     */
    public void endOn(SignalPipe signals) {
        Thread.ofPlatform()
                .daemon()
                .name("signals")
                .start(
                        () -> {
                            while (true) {
                                terminated(signals.await());
                            }
                        });
    }

    private void terminated(SignalPipe.Arrival signal) {
        if (shutdown.hurry()) {
            return;
        }
        shutdown.begin(0);
        String sender =
                signal.sender() == 0
                        ? ""
                        : " from pid "
                                + signal.sender()
                                + " ("
                                + HostProcess.name(signal.sender()).orElse("<unknown process>")
                                + ")";
        if (!clocks.stepped()) {
            report("terminating on signal " + signal.number() + sender);
        }
        run.requestShutdown(ShutdownCause.HOST_SIGNAL);
    }

    /** Ends the main loop and with it the process. Any thread. */
    public void leave(int status) {
        shutdown.begin(status);
        loop.stop();
    }

    /** The process is about to end, and nobody should wait for a peer any more. Any thread. */
    @Override
    public boolean ending() {
        return shutdown.begun();
    }

    /**
     * The second half of a start: makes the machine, its devices, and has the guest go. Then start-up is over:
     * descriptors are only those that a monitor was handed, and all commands may run.
     */
    public void makeMachine() throws OptionTable.Failure {
        for (StartPhase phase : StartPhase.values()) {
            if (phase.late()) {
                options.run(phase);
            }
        }
        started = true;
    }

    /** Likewise for a process that has no machine: all commands may run. */
    public void withoutMachine() {
        started = true;
    }

    @Override
    public MachineLock lock() {
        return lock;
    }

    @Override
    public EventLoop mainLoop() {
        return loop;
    }

    @Override
    public VmClocks clocks() {
        return clocks;
    }

    @Override
    public StateRegistry state() {
        return state;
    }

    @Override
    public ChardevTable chardevs() {
        return chardevs;
    }

    @Override
    public CommandTable commands() {
        return commands;
    }

    @Override
    public void emit(QmpEvent event) {
        monitors.emit(event);
    }

    @Override
    public HmpTable hmp() {
        return hmp;
    }

    @Override
    public RunController run() {
        return run;
    }

    @Override
    public ObjectRegistry objects() {
        return objects;
    }

    @Override
    public @Nullable Machine machine() {
        return machine;
    }

    @Override
    public <O extends ObjectOptions> void objectType(
            QomType<?> type, Class<O> options, ObjectFactory<O> factory) {
        objects.type(type, options, factory);
    }

    @Override
    public void deviceType(DeviceType<?> type) {
        devices.type(type);
    }

    @Override
    public void acceleratorType(AcceleratorType type) {
        acceleratorTypes.add(type);
    }

    @Override
    public List<AcceleratorType> acceleratorTypes() {
        return List.copyOf(acceleratorTypes);
    }

    @Override
    public void machineType(MachineType<?> type) {
        machineTypes.put(type.name(), type);
    }

    @Override
    public void option(OptionHandler handler) {
        options.add(handler);
    }

    @Override
    public boolean defaults() {
        return settings.defaults();
    }

    @Override
    public @Nullable String name() {
        return settings.name();
    }

    @Override
    public List<String> firmwareDirectories() {
        return settings.firmwareDirectories();
    }

    @Override
    public <T> void publish(Class<T> type, T service) {
        if (services.putIfAbsent(type, service) != null) {
            throw new IllegalStateException(type.getName() + " is published already");
        }
    }

    @Override
    public void withdraw(Class<?> type) {
        services.remove(type);
    }

    @Override
    public <T> Optional<T> find(Class<T> type) {
        return Optional.ofNullable(type.cast(services.get(type)));
    }

    @Override
    public <T> T service(Class<T> type) {
        return find(type)
                .orElseThrow(() -> new IllegalStateException("no room offers " + type.getName()));
    }

    @Override
    public YankRegistry yank() {
        return yank;
    }

    @Override
    public void onExit(Ending ending) {
        shutdown.add(ending);
    }

    @Override
    public void lastly(Runnable task) {
        shutdown.lastly(task);
    }

    @Override
    public void report(String message) {
        StringBuilder line = new StringBuilder();
        if (settings.messageTimestamps()) {
            line.append(Instant.now().truncatedTo(ChronoUnit.MICROS)).append(' ');
        }
        String guest = settings.messageNames() ? settings.name() : null;
        if (guest != null) {
            line.append(guest).append(' ');
        }
        System.err.println(line.append(program).append(": ").append(message));
    }

    @Override
    public void warn(String message) {
        report("warning: " + message);
    }

    /** Prints a warning about the option that is being handled. */
    public void warnOption(String message) {
        String where = options.location();
        warnAt(where, "warning: " + message);
    }

    private void warnAt(@Nullable String where, String message) {
        report(where == null ? message : where + ": " + message);
    }

    /** Prints what a character device has to say while the option that makes it is handled. */
    public void notice(String message) {
        if (message.startsWith("char device redirected")) {
            System.out.println(message);
        } else {
            warnAt(options.location(), message);
        }
    }

    /** Keeps a descriptor that a monitor was handed; one of the same name is closed. */
    public void keepDescriptor(String name, Fd fd) {
        Fd old = descriptors.put(name, fd);
        if (old != null) {
            old.close();
        }
    }

    @Override
    public @Nullable Fd takeNamedDescriptor(String name) {
        return descriptors.remove(name);
    }

    @Override
    public @Nullable Integer takeDescriptor(String descriptor) {
        Fd kept = descriptors.remove(descriptor);
        if (kept != null) {
            return kept.release();
        }
        OptionalInt number = started ? OptionalInt.empty() : NumberText.decimal(descriptor);
        return number.isPresent() ? number.getAsInt() : null;
    }

    @Override
    public boolean starting() {
        return !started;
    }

    @Override
    public void terminate() {
        run.requestShutdown(ShutdownCause.HOST_UI);
    }

    @Override
    public void added(Chardev device) {
        // Ids from QMP are free text; one with a slash has no place in the tree.
        if (device.id().indexOf('/') < 0) {
            objects.add(
                    "/chardevs/" + device.id(),
                    device.type(),
                    List.of(
                            QomProperty.of("connected", "bool", () -> isConnected(device)),
                            QomProperty.of("addr", "str", device::filename)));
        }
        if (device.reconnectable()) {
            yank.add(yankInstance(device), device::yank);
        }
    }

    private static Boolean isConnected(Chardev device) {
        return !device.filename().startsWith("disconnected:");
    }

    private static YankInstance yankInstance(Chardev device) {
        return new YankInstance.Chardev(new YankInstanceChardev(device.id()));
    }

    @Override
    public void removed(Chardev device) {
        if (device.id().indexOf('/') < 0) {
            objects.remove("/chardevs/" + device.id());
        }
        if (device.reconnectable()) {
            yank.unregister(yankInstance(device));
        }
    }

    @Override
    public TlsEnd.Source tlsEnds() {
        return TlsEnd.Source.of(objects, lock());
    }

    @Override
    public boolean daemon() {
        return settings.daemonize();
    }

    /** Takes everything down in order, on the main thread, behind the main loop; gives the exit status. */
    public int shutDown() {
        shutdown.run();
        return shutdown.status();
    }

    /** The guest does not run any more. Under the machine lock. */
    void pauseGuest() {
        clocks.stopVirtual();
        Machine board = machine;
        if (board != null) {
            board.vcpus().pauseAll();
        }
    }

    /** The board's own parts are taken out. Under the machine lock. */
    void dismantle() {
        Machine board = machine;
        if (board != null) {
            board.dismantle();
        }
    }

    /** The guest's processors are given back. Under the machine lock. */
    void endGuest() {
        Machine board = machine;
        if (board != null) {
            board.vcpus().close();
        }
    }
}
