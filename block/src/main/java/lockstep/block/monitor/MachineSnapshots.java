package lockstep.block.monitor;

import lockstep.api.JobType;
import lockstep.api.RunState;
import lockstep.api.SnapshotCommands;
import lockstep.api.SnapshotDeleteArguments;
import lockstep.api.SnapshotLoadArguments;
import lockstep.api.SnapshotSaveArguments;
import lockstep.block.Backends;
import lockstep.block.BlockBackend;
import lockstep.block.job.Jobs;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Drain;
import lockstep.block.node.FilterNode;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.block.qcow2.Snapshot;
import lockstep.block.qcow2.SnapshotText;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.RunControl;
import lockstep.runtime.spi.MachineState;
import lockstep.runtime.spi.SavedMachines;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Snapshots of the whole machine inside its disks' images: each disk keeps itself, and one of them the memory and the
 * devices. Main loop, machine lock held.
 */
final class MachineSnapshots implements SavedMachines, SnapshotCommands {
    private final Backends backends;
    private final Jobs jobs;
    private final Vmm vmm;

    MachineSnapshots(Backends backends, Jobs jobs, Vmm vmm) {
        this.backends = backends;
        this.jobs = jobs;
        this.vmm = vmm;
    }

    /** The disks that are concerned, and the one that keeps the machine. */
    private record Disks(List<BlockNode> all, List<Qcow2Node> images, Qcow2Node state) {
        String name(int i) {
            return all.get(i).deviceOrName();
        }

        private boolean anyHas(String tag) {
            return images.stream().anyMatch(image -> find(image, tag) != null);
        }

        private boolean allHave(String tag) {
            return images.stream().allMatch(image -> find(image, tag) != null);
        }
    }

    private static BlockException bad(String message) {
        return new BlockException(Errno.EINVAL, message);
    }

    // ---- which disks

    /** The writable disks that somebody uses, or that are there by themselves. */
    private List<BlockNode> writable() {
        List<BlockNode> found = new ArrayList<>();
        for (BlockBackend backend : backends) {
            BlockNode root = backend.root();
            if (root != null && !root.readOnly() && !found.contains(root)) {
                found.add(root);
            }
        }
        for (BlockNode node : backends.graph().names().nodes()) {
            if (node.parents().isEmpty() && !node.readOnly() && !found.contains(node)) {
                found.add(node);
            }
        }
        return found;
    }

    private List<BlockNode> named(@Nullable List<String> names) throws BlockException {
        if (names == null) {
            return writable();
        }
        if (names.isEmpty()) {
            throw bad("At least one device is required for snapshot");
        }
        Set<BlockNode> found = new LinkedHashSet<>();
        for (String name : names) {
            BlockNode node = backends.graph().names().findNode(name);
            if (node == null) {
                throw bad("No block device node '" + name + "'");
            }
            found.add(node);
        }
        return List.copyOf(found);
    }

    /** The image that a disk's snapshots are in: its own, or that below filters; null when there is none. */
    private static @Nullable Qcow2Node image(BlockNode disk) {
        BlockNode node = disk;
        while (node instanceof FilterNode) {
            ChildEdge edge = node.primaryChild();
            if (edge == null) {
                return null;
            }
            node = edge.node();
        }
        return node instanceof Qcow2Node image ? image : null;
    }

    private static List<Qcow2Node> images(List<BlockNode> disks) throws BlockException {
        List<Qcow2Node> images = new ArrayList<>();
        for (BlockNode disk : disks) {
            Qcow2Node image = image(disk);
            if (image == null) {
                throw bad(
                        "Device '"
                                + disk.deviceOrName()
                                + "' is writable but does not support snapshots");
            }
            images.add(image);
        }
        return images;
    }

    private Disks disks(@Nullable List<String> names, @Nullable String state)
            throws BlockException {
        List<BlockNode> all = named(names);
        List<Qcow2Node> images = images(all);
        if (state != null) {
            for (int i = 0; i < all.size(); i++) {
                if (all.get(i).name().equals(state)) {
                    return new Disks(all, images, images.get(i));
                }
            }
            throw bad("vmstate block device '" + state + "' does not exist");
        }
        if (images.isEmpty()) {
            throw bad("no block device can store vmstate for snapshot");
        }
        return new Disks(all, images, images.getFirst());
    }

    private static @Nullable Snapshot find(Qcow2Node image, String tag) {
        for (Snapshot snapshot : image.snapshots()) {
            if (snapshot.name().equals(tag)) {
                return snapshot;
            }
        }
        return null;
    }

    private void alone(List<? extends BlockNode> nodes, Drain.Change change) throws BlockException {
        backends.graph().drain().drained(List.copyOf(nodes), change);
    }

    // ---- save

    /**
     * Keeps the machine.
     *
     * @param tag its name; null for one of the time
     * @param overwrite whether one of that name goes first
     * @param names the disks' nodes; null for all that are writable
     */
    void save(
            @Nullable String tag,
            boolean overwrite,
            @Nullable String state,
            @Nullable List<String> names)
            throws BlockException {
        MachineState machine = vmm.service(MachineState.class);
        Disks disks = disks(names, state);
        Instant now = Instant.now();
        String name =
                tag != null
                        ? tag
                        : DateTimeFormatter.ofPattern("'vm-'yyyyMMddHHmmss", Locale.ROOT)
                                .format(now.atZone(ZoneId.systemDefault()));
        if (!overwrite && disks.anyHas(name)) {
            throw bad("Snapshot '" + name + "' already exists in one or more devices");
        }
        try {
            machine.prepare();
        } catch (IOException e) {
            throw failed(e);
        }
        standing(
                RunState.SAVE_VM,
                () ->
                        alone(
                                disks.images,
                                () -> {
                                    for (Qcow2Node image : disks.images) {
                                        forget(image, name);
                                    }
                                    keep(machine, disks, name, now);
                                }));
    }

    private void keep(MachineState machine, Disks disks, String name, Instant now)
            throws BlockException {
        StateWriter writer = new StateWriter(disks.state);
        long bytes;
        try {
            machine.save(writer);
            bytes = writer.end();
        } catch (IOException e) {
            disks.state.dropMachineState();
            throw failed(e);
        }
        long clock = vmm.clocks().now(ClockType.VIRTUAL);
        for (Qcow2Node image : disks.images) {
            image.createSnapshot(
                    name,
                    now.getEpochSecond(),
                    now.getNano() / 1000 * 1000,
                    clock,
                    -1,
                    image == disks.state ? bytes : 0);
        }
    }

    private static void forget(Qcow2Node image, String name) throws BlockException {
        for (Snapshot old = find(image, name); old != null; old = find(image, name)) {
            image.deleteSnapshotById(old.id());
        }
    }

    private static BlockException failed(IOException e) {
        Throwable cause = e.getCause();
        return cause instanceof BlockException block
                ? block
                : new BlockException(Errno.EINVAL, String.valueOf(e.getMessage()), e);
    }

    // ---- load

    /** Makes the machine what was kept under a name. When that fails in the middle the guest stays stopped. */
    void load(String tag, @Nullable String state, @Nullable List<String> names)
            throws BlockException {
        Drain.Change restoring = restoring(disks(names, state), tag);
        standing(RunState.RESTORE_VM, restoring);
    }

    @Override
    public void load(String tag) throws QmpException {
        try {
            restoring(disks(null, null), tag).apply();
        } catch (BlockException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    /** Looks whether there is what is to be loaded, before anything stops for it. */
    private Drain.Change restoring(Disks disks, String tag) throws BlockException {
        if (!disks.allHave(tag)) {
            throw bad("Snapshot '" + tag + "' does not exist in one or more devices");
        }
        Snapshot kept = find(disks.state, tag);
        if (kept == null || kept.vmStateBytes() == 0) {
            throw bad("This is a disk-only snapshot. Revert to it  offline using qemu-img");
        }
        return () -> alone(disks.images, () -> restore(disks, tag, kept));
    }

    private void restore(Disks disks, String tag, Snapshot kept) throws BlockException {
        for (int i = 0; i < disks.images.size(); i++) {
            Qcow2Node image = disks.images.get(i);
            Snapshot own = find(image, tag);
            try {
                image.applySnapshot(own == null ? tag : own.id());
            } catch (BlockException e) {
                throw new BlockException(
                        e.errno(),
                        "Could not load snapshot '%s' on '%s': %s"
                                .formatted(tag, disks.name(i), e.getMessage()),
                        e);
            }
        }
        Machine machine = vmm.machine();
        if (machine != null) {
            machine.reset();
        }
        try {
            vmm.service(MachineState.class).load(new StateReader(disks.state, kept.vmStateBytes()));
        } catch (IOException e) {
            throw new BlockException(
                    Errno.EINVAL, "Error while loading VM state: " + failed(e).getMessage(), e);
        } finally {
            disks.state.dropMachineState();
        }
    }

    /** Does something while the guest stands, which goes on behind it unless that fails. */
    private void standing(RunState why, Drain.Change work) throws BlockException {
        RunControl run = vmm.run();
        RunState before = run.state();
        boolean ran = run.running();
        run.stop(why);
        try {
            work.apply();
        } catch (BlockException e) {
            if (why == RunState.SAVE_VM) {
                goOn(run, ran, before);
            }
            throw e;
        }
        goOn(run, ran, before);
    }

    private static void goOn(RunControl run, boolean ran, RunState before) {
        if (ran) {
            run.start();
        } else {
            run.set(before);
        }
    }

    // ---- delete

    /** Forgets what was kept under a name, on all disks. */
    void delete(String tag, @Nullable List<String> names) throws BlockException {
        List<Qcow2Node> images = images(named(names));
        alone(
                images,
                () -> {
                    for (Qcow2Node image : images) {
                        forget(image, tag);
                    }
                });
    }

    // ---- QMP

    @Override
    public void snapshotSave(SnapshotSaveArguments arguments) throws QmpException {
        once(
                JobType.SNAPSHOT_SAVE,
                arguments.jobId(),
                () -> save(arguments.tag(), false, arguments.vmstate(), arguments.devices()));
    }

    @Override
    public void snapshotLoad(SnapshotLoadArguments arguments) throws QmpException {
        once(
                JobType.SNAPSHOT_LOAD,
                arguments.jobId(),
                () -> load(arguments.tag(), arguments.vmstate(), arguments.devices()));
    }

    @Override
    public void snapshotDelete(SnapshotDeleteArguments arguments) throws QmpException {
        once(
                JobType.SNAPSHOT_DELETE,
                arguments.jobId(),
                () -> delete(arguments.tag(), arguments.devices()));
    }

    private void once(JobType type, String id, Drain.Change thing) throws QmpException {
        try {
            jobs.once(type, id, thing);
        } catch (BlockException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    // ---- show

    /** HMP info snapshots. */
    void describe(StringBuilder output) throws BlockException {
        Disks disks;
        try {
            disks = disks(null, null);
        } catch (BlockException e) {
            output.append("no block device can store vmstate for snapshot\n");
            return;
        }
        List<Snapshot> whole = new ArrayList<>();
        boolean any = false;
        for (Snapshot snapshot : disks.state.snapshots()) {
            if (disks.allHave(snapshot.name())) {
                whole.add(snapshot);
            }
        }
        for (Qcow2Node image : disks.images) {
            any |= !image.snapshots().isEmpty();
        }
        if (!any) {
            output.append("There is no snapshot available.\n");
            return;
        }
        output.append("List of snapshots present on all disks:\n");
        if (whole.isEmpty()) {
            output.append("None\n");
        } else {
            output.append(SnapshotText.HEAD);
            whole.forEach(s -> output.append(SnapshotText.line(s, "--")));
        }
        for (int i = 0; i < disks.images.size(); i++) {
            partial(disks.images.get(i), disks.name(i), whole, output);
        }
    }

    private static void partial(
            Qcow2Node image, String name, List<Snapshot> whole, StringBuilder output) {
        boolean head = false;
        for (Snapshot snapshot : image.snapshots()) {
            if (whole.stream().noneMatch(w -> w.name().equals(snapshot.name()))) {
                if (!head) {
                    output.append("List of partial (non-loadable) snapshots on '")
                            .append(name)
                            .append("':\n")
                            .append(SnapshotText.HEAD);
                    head = true;
                }
                output.append(SnapshotText.line(snapshot));
            }
        }
    }

    // ---- the state's bytes

    /** In parts of this many bytes, of whole sectors, which is how encrypted images want them. */
    private static final int PART = 64 << 10;

    private static final class StateWriter implements MachineState.Sink {
        private final Qcow2Node image;
        private final ByteBuffer part = ByteBuffer.allocateDirect(PART);
        private long written;

        StateWriter(Qcow2Node image) {
            this.image = image;
        }

        @Override
        public void write(ByteBuffer bytes) throws IOException {
            while (bytes.hasRemaining()) {
                int n = Math.min(bytes.remaining(), part.remaining());
                part.put(part.position(), bytes, bytes.position(), n);
                part.position(part.position() + n);
                bytes.position(bytes.position() + n);
                if (!part.hasRemaining()) {
                    store();
                }
            }
        }

        private void store() throws IOException {
            int length = part.position();
            while (part.position() % 512 != 0) {
                part.put((byte) 0);
            }
            try {
                image.writeMachineState(written, MemorySegment.ofBuffer(part.flip()));
            } catch (BlockException e) {
                throw new IOException(e.getMessage(), e);
            }
            written += length;
            part.clear();
        }

        /** Writes what is left; how many bytes there are in all. */
        long end() throws IOException {
            store();
            return written;
        }
    }

    private static final class StateReader implements MachineState.Source {
        private final Qcow2Node image;
        private final long end;
        private final ByteBuffer part = ByteBuffer.allocateDirect(PART).limit(0);
        private long at;

        StateReader(Qcow2Node image, long end) {
            this.image = image;
            this.end = end;
        }

        @Override
        public int read(ByteBuffer target) throws IOException {
            if (!part.hasRemaining()) {
                if (at >= end) {
                    return -1;
                }
                int n = (int) Math.min(PART, end - at);
                try {
                    image.readMachineState(
                            at, MemorySegment.ofBuffer(part.clear()).asSlice(0, n + 511 & -512));
                } catch (BlockException e) {
                    throw new IOException(e.getMessage(), e);
                }
                part.limit(n);
                at += n;
            }
            int n = Math.min(target.remaining(), part.remaining());
            target.put(target.position(), part, part.position(), n);
            target.position(target.position() + n);
            part.position(part.position() + n);
            return n;
        }
    }
}
