package lockstep.runtime.migration;

import lockstep.api.Event;
import lockstep.api.MigrationParameters;
import lockstep.api.RunState;
import lockstep.api.YankInstance;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Fd;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.machine.EmptyBoard;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.spi.DiskHandover;
import lockstep.runtime.spi.NetworkAnnouncer;
import lockstep.runtime.spi.Vmm;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateRegistry;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The process around a migration as its context offers it. */
final class VmmMigrationHost implements MigrationHost {
    private static final YankInstance INSTANCE = new YankInstance.Migration();

    private final Vmm vmm;
    private final MigrationSettings settings;

    VmmMigrationHost(Vmm vmm, MigrationSettings settings) {
        this.vmm = vmm;
        this.settings = settings;
    }

    @Override
    public MachineLock lock() {
        return vmm.lock();
    }

    @Override
    public StateRegistry state() {
        return vmm.state();
    }

    @Override
    public ObjectTree objects() {
        return vmm.objects();
    }

    private EmptyBoard emptyBoard() {
        return vmm.service(EmptyBoard.class);
    }

    @Override
    public String machineType() {
        Machine machine = vmm.machine();
        return machine == null ? EmptyBoard.TYPE : machine.type();
    }

    @Override
    public List<RamBlock> blocks() {
        Machine machine = vmm.machine();
        return machine == null ? emptyBoard().blocks() : machine.blocks();
    }

    @Override
    public DirtyLog dirtyLog() {
        Machine machine = vmm.machine();
        return machine == null ? emptyBoard().dirtyLog() : machine.dirtyLog();
    }

    @Override
    public RunState runState() {
        return vmm.run().state();
    }

    @Override
    public boolean running() {
        return vmm.run().running();
    }

    @Override
    public void stop(RunState state) {
        vmm.run().stop(state);
    }

    @Override
    public boolean stop(RunState state, long patience) {
        return vmm.run().stop(state, patience);
    }

    @Override
    public void start() {
        vmm.run().start();
    }

    @Override
    public void runState(RunState state) {
        vmm.run().set(state);
    }

    @Override
    public boolean asleep() {
        return vmm.run().asleep();
    }

    @Override
    public void asleep(boolean asleep) {
        vmm.run().asleep(asleep);
    }

    @Override
    public boolean autostart() {
        return vmm.run().autostart();
    }

    @Override
    public void autostart(boolean on) {
        vmm.run().autostart(on);
    }

    @Override
    public void activateDisks() throws StateException {
        DiskHandover disks = vmm.find(DiskHandover.class).orElse(null);
        if (disks == null) {
            return;
        }
        try {
            disks.activateAll();
        } catch (QmpException e) {
            throw new StateException(e.description(), e);
        }
    }

    @Override
    public void inactivateDisks() throws StateException {
        DiskHandover disks = vmm.find(DiskHandover.class).orElse(null);
        if (disks == null) {
            return;
        }
        try {
            disks.inactivateAll();
        } catch (QmpException e) {
            throw new StateException(e.description(), e);
        }
    }

    @Override
    public @Nullable BitmapHandover bitmaps() {
        return vmm.find(BitmapHandover.class).orElse(null);
    }

    @Override
    public void announce() {
        MigrationParameters p = settings.parameters();
        vmm.find(NetworkAnnouncer.class)
                .ifPresent(
                        a ->
                                a.announce(
                                        MigrationSettings.value(p.announceInitial(), 50),
                                        MigrationSettings.value(p.announceMax(), 550),
                                        MigrationSettings.value(p.announceRounds(), 5),
                                        MigrationSettings.value(p.announceStep(), 100)));
    }

    @Override
    public @Nullable Fd takeDescriptor(String name) {
        return vmm.takeNamedDescriptor(name);
    }

    @Override
    public void emit(Event event) {
        vmm.emit(event);
    }

    @Override
    public void report(String message) {
        vmm.report(message);
    }

    @Override
    public void execute(Runnable task) {
        vmm.mainLoop().execute(task);
    }

    @Override
    public void exit(int code) {
        vmm.leave(code);
    }

    @Override
    public void connected(Runnable cut) {
        vmm.yank().add(INSTANCE, cut);
    }

    @Override
    public void disconnected(Runnable cut) {
        vmm.yank().remove(INSTANCE, cut);
        vmm.yank().unregister(INSTANCE);
    }
}
