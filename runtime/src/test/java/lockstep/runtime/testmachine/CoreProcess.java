package lockstep.runtime.testmachine;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** As much of a process as the core of a machine that runs needs; time passes by itself. */
public final class CoreProcess implements AutoCloseable {
    /** The machine lock. */
    public final MachineLock lock = new MachineLock();

    /** The clocks. */
    public final VmClocks clocks = new VmClocks();

    /** The sections. */
    public final StateRegistry state = new StateRegistry();

    /** What was told the user. */
    public final List<String> reports = new CopyOnWriteArrayList<>();

    /** What was asked of run control. */
    public final List<String> requests = new CopyOnWriteArrayList<>();

    /** The main loop. */
    public final EpollLoop loop;

    /** As a machine sees it. */
    public final Vmm vmm;

    /** Called after each of the requests. */
    public volatile Runnable onRequest = () -> {};

    /** With a main loop that runs. */
    public CoreProcess() throws LinuxException {
        loop = new EpollLoop("test main loop", clocks, lock, (n, t) -> reports.add(t.toString()));
        loop.start();
        RunControl run =
                Fake.of(
                        RunControl.class,
                        (name, args) -> {
                            requests.add(name + " " + args[0]);
                            onRequest.run();
                            return null;
                        });
        vmm =
                Fake.of(
                        Vmm.class,
                        (name, args) ->
                                switch (name) {
                                    case "lock" -> lock;
                                    case "clocks" -> clocks;
                                    case "state" -> state;
                                    case "mainLoop" -> loop;
                                    case "run" -> run;
                                    case "report", "warn" -> {
                                        reports.add((String) args[0]);
                                        yield null;
                                    }
                                    default -> throw new UnsupportedOperationException(name);
                                });
    }

    @Override
    public void close() {
        loop.close();
    }
}
