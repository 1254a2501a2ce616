package lockstep.block.qcow2;

import lockstep.block.luks.DiskCipher;
import lockstep.block.luks.Sectors;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.block.node.Pieces;
import lockstep.block.node.Role;
import lockstep.block.node.Route;
import lockstep.block.node.Zeroes;
import lockstep.runtime.linux.Errno;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Driver {@code qcow2}: the image's life from opening to closing, its size, and its whole content;
 * requests go to its {@link GuestDisk}.
 */
public final class Qcow2Node extends BlockNode {
    private final Guard guard;
    private final ChildEdge opening;
    private final Encryption encryption;
    private volatile Qcow2Header header;
    private volatile Mapping map;
    private volatile GuestDisk disk;

    private Qcow2Node(
            BlockGraph graph,
            String name,
            boolean readOnly,
            boolean active,
            OverlapChecks checks,
            ChildEdge file,
            Qcow2Header h,
            Encryption encryption)
            throws BlockException {
        super(graph, "qcow2", name, readOnly);
        opening = file;
        this.encryption = encryption;
        if (encryption.cipher() != null) {
            trackRequests();
        }
        guard =
                new Guard(
                        this::file,
                        checks.parts(),
                        () -> !readOnly() && active(),
                        (message, offset, size, fatal) ->
                                graph.host().imageCorrupted(this, message, offset, size, fatal));
        guard.opened(h);
        header = h;
        map = new Mapping(guard, h, active);
        disk = new GuestDisk(guard, h, map, this::below, encryption.cipher());
    }

    /**
     * Opens an image and enters the node; the backing node is attached by {@link #attachBacking}.
     *
     * @param file the node the image is stored in; this node takes its own reference
     * @param active false while another process may still write the image
     * @param checks what is protected from wrong writes
     */
    public static Qcow2Node open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            BlockNode file,
            boolean active,
            OverlapChecks checks)
            throws BlockException {
        return open(graph, name, readOnly, file, active, checks, Encryption.Key.NONE);
    }

    /**
     * Likewise an image that may be encrypted.
     *
     * @param key what opens it
     */
    public static Qcow2Node open(
            BlockGraph graph,
            String name,
            boolean readOnly,
            BlockNode file,
            boolean active,
            OverlapChecks checks,
            Encryption.Key key)
            throws BlockException {
        ChildEdge look = ChildEdge.look(file);
        Qcow2Header header = Qcow2Header.read(look, !readOnly && active);
        Encryption encryption = Encryption.of(look, header, key);
        Qcow2Node node =
                new Qcow2Node(graph, name, readOnly, active, checks, look, header, encryption);
        if (!active) {
            BlockGraph.startInactive(node);
        }
        graph.add(node);
        try {
            graph.attach(node, "file", Role.STORAGE, file);
            if (active) {
                node.begin(!readOnly);
            }
        } catch (BlockException e) {
            graph.release(node);
            throw e;
        }
        return node;
    }

    /** Sets the node that unallocated clusters are read from. */
    public void attachBacking(BlockNode backing) throws BlockException {
        graph().attach(this, "backing", Role.BACKING, backing);
    }

    /** Changes what is protected from wrong writes. */
    public void protect(OverlapChecks checks) throws BlockException {
        disk.alone(
                () -> {
                    guard.protect(checks);
                    map.guardInactive();
                });
    }

    /** Whether the image is marked as corrupt. Any thread. */
    public boolean corrupt() {
        return guard.corrupt();
    }

    /** The header as it was read when the image was opened or activated. */
    public Qcow2Header header() {
        return header;
    }

    @Override
    public String plainFilename() {
        return backingOverridden() ? "" : file().node().plainFilename();
    }

    /** Whether what is below is not what the header names. */
    private boolean backingOverridden() {
        if (!info().backingOverridden()) {
            return false;
        }
        BlockNode below = backing();
        String named = header.backingFile();
        return below == null
                ? named != null
                : named == null || !named.equals(below.plainFilename());
    }

    /** The node that the image is stored in. */
    private ChildEdge file() {
        ChildEdge edge = child("file");
        return edge == null ? opening : edge;
    }

    /** The node that unallocated clusters are read from. */
    private @Nullable ChildEdge below() {
        return child("backing");
    }

    @Override
    public long allocationUnit() {
        return header.clusterSize();
    }

    /** Starts over with what the image holds now; nobody is inside. */
    private void load() throws BlockException {
        Qcow2Header h = Qcow2Header.read(file(), !readOnly() && active());
        guard.opened(h);
        header = h;
        map = new Mapping(guard, h, active());
        disk = new GuestDisk(guard, h, map, this::below, encryption.cipher());
    }

    private void prepareForWriting() throws BlockException {
        if (header.has(Qcow2Header.DIRTY)) {
            // Refcounts cannot be trusted: the last writer postponed them and did not come back.
            new Qcow2Repair(guard, header, map).rebuildRefcounts();
            patchHeader(Qcow2Header.INCOMPATIBLE_AT, header.incompatible() & ~Qcow2Header.DIRTY);
            guard.flush();
            load();
        }
        if (header.bitmaps() && header.bitmapCount() == 0) {
            System.getLogger("lockstep.block")
                    .log(
                            System.Logger.Level.WARNING,
                            "a program lacking bitmap support modified this file, so all bitmaps"
                                    + " are now considered inconsistent");
            HeaderCluster.nameBitmaps(guard, header, 0, 0, 0);
            header = Qcow2Header.read(file(), true);
        }
        long kept = header.autoclear() & Qcow2Header.BITMAPS;
        if (header.autoclear() != kept) {
            // No other of those features is kept up to date here, so the image must stop promising
            // them.
            patchHeader(Qcow2Header.AUTOCLEAR_AT, kept);
        }
    }

    /** The image is this program's from now on. */
    private void begin(boolean writable) throws BlockException {
        if (writable) {
            prepareForWriting();
        }
        persistentBitmaps().load(writable);
    }

    private PersistentBitmaps persistentBitmaps() {
        return new PersistentBitmaps(this, guard, header, map);
    }

    /** The image is left, or will not be written any more. */
    private void finish() throws BlockException {
        flush();
        if (length() != 0 && !persistentBitmaps().toStore().isEmpty()) {
            try {
                guard.checkUsable();
                disk.alone(() -> persistentBitmaps().store());
            } catch (BlockException e) {
                throw new BlockException(
                        e.errno(),
                        "Lost persistent bitmaps during inactivation of node '"
                                + name()
                                + "': "
                                + e.getMessage(),
                        e);
            }
        }
    }

    @Override
    public void checkKeeps(String shown, String bitmap, long granule) throws BlockException {
        try {
            persistentBitmaps().checkRoom(bitmap, granule);
        } catch (BlockException e) {
            throw new BlockException(
                    e.errno(),
                    "Can't make bitmap '"
                            + bitmap
                            + "' persistent in '"
                            + shown
                            + "': "
                            + e.getMessage(),
                    e);
        }
    }

    @Override
    public void removeKept(String bitmap) throws BlockException {
        if (keptBitmaps().stream().anyMatch(b -> b.name().equals(bitmap))) {
            guard.checkUsable();
            flush();
            disk.alone(() -> persistentBitmaps().remove(bitmap));
            load();
        }
    }

    /**
     * A bitmap in the image.
     *
     * @param inUse its bits in the image are not up to date
     * @param recording changes are recorded
     */
    public record KeptBitmap(String name, long granularity, boolean inUse, boolean recording) {}

    /** The bitmaps in the image, in its order. */
    public List<KeptBitmap> keptBitmaps() {
        return map.bitmaps().entries().stream()
                .map(
                        e ->
                                new KeptBitmap(
                                        e.name(),
                                        1L << e.granularityBits(),
                                        e.inUse(),
                                        (e.flags() & BitmapDirectory.AUTO) != 0))
                .toList();
    }

    private void patchHeader(int at, long value) throws BlockException {
        MemorySegment field = MemorySegment.ofArray(new byte[8]);
        field.set(Qcow2Header.BE64, 0, value);
        guard.write(MetadataMap.HEADER, at, field);
    }

    @Override
    protected void onActivate() throws BlockException {
        load();
        begin(!readOnly());
    }

    @Override
    protected void onInactivate() throws BlockException {
        if (!readOnly()) {
            finish();
        }
        bitmaps().stream().filter(b -> b.persistent() && !b.leaving()).forEach(this::forget);
    }

    @Override
    protected void onReopen(boolean readOnly) throws BlockException {
        if (readOnly && active()) {
            finish();
            load();
            bitmaps().stream().filter(DirtyBitmap::persistent).forEach(b -> b.setReadOnly(true));
        } else if (active()) {
            load();
            begin(true);
        }
    }

    @Override
    protected void close() throws BlockException {
        if (!readOnly() && active() && child("file") != null && length() != 0 && !guard.stopped()) {
            finish();
        }
    }

    @Override
    protected long length() {
        return disk.size();
    }

    @Override
    protected long lengthAtOnce() {
        return disk.size();
    }

    @Override
    protected boolean route(Route route) {
        return !guard.stopped() && route.length() <= length() - route.offset() && disk.route(route);
    }

    /** How the image is encrypted. */
    public Encryption encryption() {
        return encryption;
    }

    private boolean ragged(long offset, long length) {
        return encryption.cipher() != null && Sectors.ragged(offset, length);
    }

    @Override
    protected long exclusion(long offset, long length) {
        return ragged(offset, length) ? DiskCipher.SECTOR : 0;
    }

    @Override
    protected void read(long offset, Pieces destination) throws BlockException {
        checkRange(offset, destination.byteSize(), length());
        encryption.checkUsable();
        if (ragged(offset, destination.byteSize())) {
            Sectors.read(disk::read, offset, destination);
            return;
        }
        disk.read(offset, destination);
    }

    @Override
    protected void write(long offset, Pieces source) throws BlockException {
        guard.checkUsable();
        checkRange(offset, source.byteSize(), length());
        encryption.checkUsable();
        if (ragged(offset, source.byteSize())) {
            Sectors.write(disk::read, disk::write, offset, source);
            return;
        }
        disk.write(offset, source);
    }

    @Override
    protected void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, length());
        encryption.checkUsable();
        if (ragged(offset, length)) {
            writeZeroesByWriting(offset, length);
            return;
        }
        disk.writeZeroes(offset, length, mayUnmap);
    }

    @Override
    protected void discard(long offset, long length) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, length());
        disk.discard(offset, length);
    }

    @Override
    protected BlockStatus status(long offset, long length) throws BlockException {
        checkRange(offset, length, length());
        return disk.status(offset, length);
    }

    @Override
    protected void flush() throws BlockException {
        if (!readOnly()) {
            map.writeBack();
            guard.flush();
        }
    }

    @Override
    protected void truncate(long length) throws BlockException {
        guard.checkUsable();
        if (length % 512 != 0) {
            throw new BlockException(Errno.EINVAL, "The new size must be a multiple of 512");
        }
        for (KeptBitmap kept : keptBitmaps()) {
            DirtyBitmap bitmap = bitmap(kept.name());
            if (bitmap != null) {
                bitmap.checkUsable(true);
            }
        }
        if (length < length()) {
            shrink(length);
        } else {
            grow(length);
        }
        header = Qcow2Header.read(file(), true);
    }

    private void grow(long length) throws BlockException {
        long old = length();
        disk.alone(() -> makeRoom(length));
        try {
            zeroNew(old, length);
        } catch (BlockException e) {
            disk.alone(() -> disk.resized(old));
            throw e;
        }
        // The image says its new length when what is new reads as zeroes, not before.
        disk.alone(
                () -> {
                    map.writeBack();
                    guard.flush();
                    patchHeader(Qcow2Header.SIZE_AT, length);
                    guard.flush();
                });
    }

    private void makeRoom(long length) throws BlockException {
        if (header.snapshots() != 0 && header.version() < 3) {
            throw new BlockException(Errno.ENOTSUP, "Can't resize a v2 image which has snapshots");
        }
        long needed = Qcow2Header.l1Needed(length, header.clusterBits());
        if (needed * 8 > 32L << 20) {
            throw new BlockException(Errno.EFBIG, "The image is too big");
        }
        map.writeBack();
        if (needed > map.l1().length) {
            map.growL1((int) needed);
        }
        disk.resized(length);
    }

    /** What is new reads as zeroes, also where the image below is longer. */
    private void zeroNew(long from, long to) throws BlockException {
        // Who shortened the disk may have left what was in the rest of its last cluster, as QEMU
        // does.
        long rest = Math.min(to, from + header.clusterSize() - 1 & -header.clusterSize());
        if (rest > from && disk.run(from, rest - from).kind() != ImageRun.Kind.UNALLOCATED) {
            disk.writeZeroes(from, rest - from, true);
        }
        ChildEdge below = below();
        long end = below == null ? 0 : Math.min(to, below.length());
        if (end > from) {
            disk.writeZeroes(from, end - from, true);
        }
    }

    /** What was cut off must not come back when the disk grows again. */
    private void shrink(long length) throws BlockException {
        if (header.snapshots() != 0 && header.version() < 3) {
            throw new BlockException(Errno.ENOTSUP, "Can't resize a v2 image which has snapshots");
        }
        long cluster = header.clusterSize();
        long rest = Math.min(length(), length + cluster - 1 & -cluster) - length;
        if (rest > 0) {
            disk.writeZeroes(length, rest, true);
        }
        disk.alone(
                () -> {
                    disk.cut(length);
                    map.writeBack();
                    guard.flush();
                    patchHeader(Qcow2Header.SIZE_AT, length);
                    guard.flush();
                    disk.resized(length);
                });
    }

    /** What the image itself has, for at most so many bytes; the rest is asked again. Any thread. */
    public ImageRun run(long offset, long length) throws BlockException {
        checkRange(offset, length, length());
        return disk.run(offset, length);
    }

    /** How storage is prepared that no data is in yet. */
    public enum Preallocation {
        /** It has a place. */
        METADATA,
        /** It has a place, and the host has kept room for it. */
        FALLOC,
        /** It is written with zeroes. */
        FULL
    }

    /** Gives all of a range places in the file; what had none reads as zeroes then. Nothing may be below the image there. */
    public void preallocate(long offset, long length, Preallocation how) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, length());
        long[] end = new long[1];
        disk.preallocate(
                offset,
                length,
                (at, bytes, fresh) -> {
                    end[0] = Math.max(end[0], at + bytes);
                    guard.check(0, at, bytes);
                    switch (how) {
                        case METADATA -> {
                            if (!fresh) {
                                file().writeZeroes(at, bytes, true);
                            }
                        }
                        case FALLOC -> file().writeZeroes(at, bytes, false);
                        case FULL -> writeZeroBytes(at, bytes);
                    }
                });
        if (guard.length() < end[0]) {
            guard.truncate(end[0]);
        }
    }

    private void writeZeroBytes(long at, long bytes) throws BlockException {
        for (long done = 0; done < bytes; ) {
            long piece = Math.min(bytes - done, Zeroes.SEGMENT.byteSize());
            file().write(at + done, Zeroes.SEGMENT.asSlice(0, piece));
            done += piece;
        }
    }

    /**
     * Writes one whole cluster, compressed where that makes it shorter. One caller at a time.
     *
     * @param offset a multiple of the cluster size
     * @param cluster a cluster of data, zeroes behind the disk's end
     */
    public void writeCompressed(long offset, MemorySegment cluster) throws BlockException {
        guard.checkUsable();
        if (header.encryption() != 0) {
            throw new BlockException(
                    Errno.ENOTSUP, "Compression is not supported for encrypted images");
        }
        checkRange(offset, 1, length());
        if ((offset & header.clusterSize() - 1) != 0
                || cluster.byteSize() != header.clusterSize()) {
            throw new BlockException(Errno.EINVAL);
        }
        disk.writeCompressed(offset, cluster);
    }

    /** The snapshots inside the image, in its order. */
    public List<Snapshot> snapshots() {
        return map.snapshots().entries().stream().map(SnapshotTable.Entry::snapshot).toList();
    }

    private interface SnapshotChange {
        void on(Snapshots snapshots) throws BlockException;
    }

    /** Nobody is inside. */
    private void change(SnapshotChange change) throws BlockException {
        guard.checkUsable();
        flush();
        disk.alone(() -> change.on(new Snapshots(guard, header, map)));
        load();
    }

    /**
     * Keeps the disk as it is as a snapshot of that name. Nobody is inside.
     *
     * @param vmClockNanos how long the guest has run
     * @param icount instructions that the guest has run, -1 when they are not counted
     * @param stateBytes how many bytes of a machine's state were {@link #writeMachineState written} for it
     * @return the snapshot's id
     */
    public String createSnapshot(
            String name, long seconds, int nanos, long vmClockNanos, long icount, long stateBytes)
            throws BlockException {
        String[] id = new String[1];
        change(
                snapshots ->
                        id[0] =
                                snapshots.create(
                                        name, seconds, nanos, vmClockNanos, icount, stateBytes));
        if (stateBytes > 0) {
            dropMachineState();
        }
        return id[0];
    }

    /**
     * Errors when the header names the backing file by {@code json:}: whoever made the image would choose what of this host
     * is opened, and how.
     */
    public void checkBackingName() throws BlockException {
        String name = header.backingFile();
        if (name != null && name.startsWith("json:")) {
            throw new BlockException(
                    Errno.EINVAL,
                    "The image names its backing file by 'json:', which is not followed; give"
                            + " 'backing' where the image is opened");
        }
    }

    /** Where the state of a machine lies: behind the disk, from the first table on that has nothing of it. */
    private long stateAt() {
        return Qcow2Header.l1Needed(length(), header.clusterBits()) * map.l2Span();
    }

    /** Writes a part of a machine's state, which the next snapshot takes along. Nobody is inside. */
    public void writeMachineState(long position, MemorySegment part) throws BlockException {
        guard.checkUsable();
        long at = stateAt() + position;
        long needed = Qcow2Header.l1Needed(at + part.byteSize(), header.clusterBits());
        if (needed * 8 > 32L << 20) {
            throw new BlockException(Errno.EFBIG);
        }
        if (needed > map.l1().length) {
            disk.alone(
                    () -> {
                        map.writeBack();
                        map.growL1((int) needed);
                    });
            header = Qcow2Header.read(file(), true);
        }
        disk.write(at, Pieces.of(part));
    }

    /** Reads a part of the state of the machine that was applied with its snapshot. Nobody is inside. */
    public void readMachineState(long position, MemorySegment target) throws BlockException {
        disk.read(stateAt() + position, Pieces.of(target));
    }

    /** Lets go of a machine's state that no snapshot has taken, or that was read. Nobody is inside. */
    public void dropMachineState() throws BlockException {
        disk.alone(
                () -> {
                    disk.cut(length());
                    map.writeBack();
                    guard.flush();
                });
    }

    /** Makes the disk what it was; the snapshot is found by its id, then by name. Nobody is inside. */
    public void applySnapshot(String idOrName) throws BlockException {
        if (!bitmaps().isEmpty()) {
            throw new BlockException(Errno.EBUSY, "Device has active dirty bitmaps");
        }
        change(snapshots -> snapshots.apply(idOrName));
    }

    /** Deletes the snapshot of that id. Nobody is inside. */
    public void deleteSnapshotById(String id) throws BlockException {
        change(snapshots -> snapshots.delete(id, true));
    }

    /** Deletes the first snapshot of that name. Nobody is inside. */
    public void deleteSnapshot(String name) throws BlockException {
        change(snapshots -> snapshots.delete(name, false));
    }

    /** Shows a snapshot, found by its id, then by name, in place of the disk; the image is read-only. Nobody is inside. */
    public void show(String idOrName) throws BlockException {
        SnapshotTable.Entry entry = map.snapshots().find(idOrName, true);
        if (entry == null) {
            throw new BlockException(Errno.ENOENT, "Can't find snapshot");
        }
        SnapshotTable.L1 l1 = entry.l1();
        long size = entry.snapshot().diskSize();
        if (!readOnly()
                || l1.entries() != 0 && l1.offset() <= 0
                || l1.entries() < Qcow2Header.l1Needed(size, header.clusterBits())) {
            throw new BlockException(Errno.EINVAL, "Failed to load snapshot's L1 table");
        }
        Qcow2Header shown = header.withDisk(l1.entries(), l1.offset(), size);
        guard.opened(shown);
        map = new Mapping(guard, shown, active());
        disk = new GuestDisk(guard, shown, map, this::below, encryption.cipher());
    }

    /**
     * Says in the image what is below it; the node that is below it now stays. Nobody is inside.
     *
     * @param name null for nothing
     */
    public void nameBacking(@Nullable String name, @Nullable String format) throws BlockException {
        guard.checkUsable();
        flush();
        HeaderCluster.nameBacking(guard, header, name, format);
        guard.flush();
        header = Qcow2Header.read(file(), true);
    }

    /** Gives what the image does not have of a range the content of what is below it. Inside the gate; any thread. */
    public void copyUp(long offset, long length) throws BlockException {
        guard.checkUsable();
        checkRange(offset, length, length());
        disk.copyUp(offset, length);
    }

    @Override
    public boolean canMakeEmpty() {
        return true;
    }

    @Override
    protected void makeEmpty() throws BlockException {
        guard.checkUsable();
        disk.alone(map::makeEmpty);
    }
}
