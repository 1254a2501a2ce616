package lockstep.runtime.spi;

import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.SequencedSet;
import java.util.function.Supplier;

/**
 * What one device has taken of its machine: ranges of addresses, a reset hook, sections, timers, memory, back
 * ends, its place on a bus and in the object tree. A device takes through its scope, or tells the scope how to
 * give back. Closing the scope is unplugging: everything is given back, the newest first. A device that fails
 * while it is made is unplugged in the same way, so nothing of it stays. Used under the machine lock.
 */
public final class DeviceScope implements AutoCloseable {
    private final Machine machine;
    private final Deque<Runnable> taken = new ArrayDeque<>();
    private final SequencedSet<DeviceScope> inside = new LinkedHashSet<>();
    private @Nullable DeviceScope around;
    private boolean closed;

    /** Of a device that has nothing yet. */
    public DeviceScope(Machine machine) {
        this.machine = machine;
    }

    /** The machine. */
    public Machine machine() {
        return machine;
    }

    /** Says how to give something back. */
    public void onClose(Runnable release) {
        if (closed) {
            throw new IllegalStateException("the device is unplugged already");
        }
        taken.push(release);
    }

    /** Says that the device sits on a bus of another one, and leaves with it. */
    public void within(DeviceScope owner) {
        owner.inside.add(this);
        around = owner;
    }

    /** Takes a range of addresses. */
    public AddressSpace.Region own(AddressSpace.Region region) {
        onClose(region::remove);
        return region;
    }

    /** Takes I/O ports. */
    public AddressSpace.Region ports(String name, int first, int count, IoHandler handler) {
        return own(machine.ports().mapIo(name, first, count, 0, handler));
    }

    /** Has that called at a system reset, after the hooks that are there already. */
    public void onReset(Runnable reset) {
        // A reset may unplug devices whose hooks would be called later.
        Runnable hook =
                () -> {
                    if (!closed) {
                        reset.run();
                    }
                };
        machine.onReset(hook);
        onClose(() -> machine.dropReset(hook));
    }

    /** Adds a section to the migration stream, behind those that are there already. */
    public void section(StateSection section) {
        machine.state().register(section);
        onClose(() -> machine.state().unregister(section));
    }

    /** Makes a timer of the main loop that is not armed. */
    public Timer timer(ClockType clock, Runnable callback) {
        Timer timer =
                machine.loop()
                        .timer(
                                clock,
                                () -> {
                                    if (!closed) {
                                        callback.run();
                                    }
                                });
        onClose(timer::cancel);
        return timer;
    }

    /** Makes memory that migrates under that name; see {@link Machine#newBlock}. */
    public RamBlock block(String name, long length, long maxLength) {
        RamBlock block = machine.newBlock(name, length, maxLength);
        onClose(() -> machine.dropBlock(block));
        return block;
    }

    /** Shows a node in the object tree. */
    public void show(ObjectTree tree, String path, String type, List<QomProperty> properties) {
        show(tree, path, type, properties, () -> "");
    }

    /** Shows a node that has notes. */
    public void show(
            ObjectTree tree,
            String path,
            String type,
            List<QomProperty> properties,
            Supplier<String> notes) {
        tree.add(path, type, properties, notes);
        onClose(() -> tree.remove(path));
    }

    /** Unplugs the device, those on its own buses first. The second time nothing happens. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        RuntimeException failure = null;
        while (!inside.isEmpty()) {
            failure = attempt(inside.getLast()::close, failure);
        }
        closed = true;
        while (!taken.isEmpty()) {
            failure = attempt(taken.pop(), failure);
        }
        DeviceScope owner = around;
        if (owner != null) {
            owner.inside.remove(this);
        }
        if (failure != null) {
            throw failure;
        }
    }

    /** One mistake does not keep the rest from being given back. */
    private static @Nullable RuntimeException attempt(
            Runnable release, @Nullable RuntimeException earlier) {
        try {
            release.run();
        } catch (RuntimeException e) {
            if (earlier == null) {
                return e;
            }
            earlier.addSuppressed(e);
        }
        return earlier;
    }
}
