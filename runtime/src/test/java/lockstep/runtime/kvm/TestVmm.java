package lockstep.runtime.kvm;

import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.testmachine.Fake;
import lockstep.runtime.vmstate.StateRegistry;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** As much of a process as a machine's core needs. */
final class TestVmm implements AutoCloseable {
    final MachineLock lock = new MachineLock();
    final VmClocks clocks = new VmClocks();
    final StateRegistry state = new StateRegistry();
    final List<String> reports = new CopyOnWriteArrayList<>();
    final List<String> requests = new CopyOnWriteArrayList<>();
    final EpollLoop loop;
    final Vmm vmm;
    volatile Runnable onRequest = () -> {};

    TestVmm() throws LinuxException {
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
