package lockstep.runtime.command;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.api.HostMemPolicy;
import lockstep.api.Memdev;
import lockstep.api.MemoryBackendPropertiesMembers;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** {@code -object memory-backend-*}: memory of the host that a board takes as its RAM. */
abstract class MemoryObject implements MemoryBackend {
    private static final String FIXED = "cannot change property value";
    private static final long PAGE = 4096;

    private static final QomKind<HostMemPolicy> POLICY =
            new QomKind<>("HostMemPolicy", HostMemPolicy::read, HostMemPolicy::wireName);

    /** QEMU: abstract type "memory-backend". */
    static final QomType<MemoryObject> TYPE =
            QomType.<MemoryObject>abstraction("memory-backend")
                    .with(
                            "merge",
                            QomKind.BOOL,
                            "Let the host merge equal pages",
                            o -> o.merge,
                            MemoryObject::setMerge)
                    .with(
                            "dump",
                            QomKind.BOOL,
                            "Keep it in core dumps",
                            o -> o.dump,
                            MemoryObject::setDump)
                    .with(
                            "prealloc",
                            QomKind.BOOL,
                            "Take all pages at once",
                            o -> o.prealloc,
                            MemoryObject::setPrealloc)
                    .with(
                            "prealloc-threads",
                            QomKind.UINT32.as("int"),
                            "Threads that take them",
                            o -> o.preallocThreads,
                            MemoryObject::setPreallocThreads)
                    .with(
                            "prealloc-context",
                            QomKind.link("thread-context"),
                            "Object whose threads take them",
                            o -> "",
                            MemoryObject::setPreallocContext)
                    .with(
                            "host-nodes",
                            QomKind.NUMBERS,
                            "NUMA nodes of the host",
                            o -> List.<Integer>of(),
                            MemoryObject::setHostNodes)
                    .with(
                            "policy",
                            POLICY,
                            "How the nodes are used",
                            o -> HostMemPolicy.DEFAULT,
                            MemoryObject::setPolicy)
                    .with(
                            "share",
                            QomKind.BOOL,
                            "Map it so that others can see it",
                            o -> o.share,
                            (o, v) -> keep())
                    .with(
                            "reserve",
                            QomKind.BOOL,
                            "Reserve swap space for it",
                            o -> o.reserve,
                            (o, v) -> keep())
                    .fixed(
                            "size",
                            QomKind.SIZE,
                            "Bytes",
                            o -> o.size,
                            o -> "cannot change property size of " + o.type + " ")
                    .with(
                            "x-use-canonical-path-for-ramblock-id",
                            QomKind.BOOL,
                            "Use the object's path as its name in migration",
                            o -> o.canonical,
                            (o, v) -> o.canonical = v);

    private final String type;
    private final String id;
    private final long size;
    private final boolean share;
    private final boolean reserve;
    private boolean merge;
    private boolean dump;
    private boolean prealloc;
    private boolean canonical;
    private long preallocThreads;
    private @Nullable Mapping mapping;
    private boolean used;

    /** Checks what all have in common; {@link #take} maps it. */
    MemoryObject(String type, String id, MemoryBackendPropertiesMembers p, boolean shareByDefault)
            throws QmpException {
        this.type = type;
        this.id = id;
        size = p.size();
        share = p.share() == null ? shareByDefault : p.share();
        reserve = !Boolean.FALSE.equals(p.reserve());
        prealloc = Boolean.TRUE.equals(p.prealloc());
        merge = !Boolean.FALSE.equals(p.merge());
        dump = !Boolean.FALSE.equals(p.dump());
        canonical = Boolean.TRUE.equals(p.xUseCanonicalPathForRamblockId());
        preallocThreads = 1;
        if (size == 0) {
            throw new QmpException("property 'size' of " + type + " doesn't take value '0'");
        }
        if (p.preallocThreads() != null) {
            setPreallocThreads(p.preallocThreads());
        }
        if (p.preallocContext() != null) {
            setPreallocContext(p.preallocContext());
        }
        if (prealloc && !reserve) {
            throw new QmpException("'prealloc=on' and 'reserve=off' are incompatible");
        }
        boolean nodes = p.hostNodes() != null && !p.hostNodes().isEmpty();
        HostMemPolicy policy = p.policy() == null ? HostMemPolicy.DEFAULT : p.policy();
        if (policy != HostMemPolicy.DEFAULT && !nodes) {
            throw new QmpException("host-nodes must be set for policy " + policy.wireName());
        }
        if (policy == HostMemPolicy.DEFAULT && nodes) {
            throw new QmpException(
                    "host-nodes must be empty for policy default, or you should explicitly specify"
                            + " a policy other than default");
        }
        setPolicy(policy);
    }

    /** Maps {@code length} bytes; {@link #share} and {@link #reserve} say how. */
    abstract Mapping map(String name, long length) throws QmpException, LinuxException;

    /** Maps the memory and gives the kernel its advice. */
    final void take() throws QmpException {
        try {
            Mapping made = map(id, (size + PAGE - 1) & -PAGE);
            mapping = made;
            if (merge) {
                advise(MADV_MERGEABLE());
            }
            if (!dump) {
                advise(MADV_DONTDUMP());
            }
            if (prealloc) {
                populate();
            }
        } catch (LinuxException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, e.getMessage(), e);
        }
    }

    /** Drops what the file holds: nobody needs it any more. */
    final void discard() {
        advise(MADV_REMOVE());
    }

    private void advise(int advice) {
        mapping().advise(0, mapping().memory().byteSize(), advice);
    }

    private void populate() throws QmpException {
        Mapping m = mapping();
        int result = m.advise(0, m.memory().byteSize(), MADV_POPULATE_WRITE());
        if (result < 0) {
            close();
            LinuxException e = new LinuxException("preallocating memory failed", -result);
            throw new QmpException(ErrorClass.GENERIC_ERROR, e.getMessage(), e);
        }
    }

    private static void keep() throws QmpException {
        throw new QmpException(FIXED);
    }

    private void setMerge(boolean value) {
        merge = value;
        advise(value ? MADV_MERGEABLE() : MADV_UNMERGEABLE());
    }

    private void setDump(boolean value) {
        dump = value;
        advise(value ? MADV_DODUMP() : MADV_DONTDUMP());
    }

    @Override
    public final void preallocate() throws QmpException {
        setPrealloc(true);
    }

    /** Pages that were taken are not given back. */
    private void setPrealloc(boolean value) throws QmpException {
        if (value && !reserve) {
            throw new QmpException("'prealloc=on' and 'reserve=off' are incompatible");
        }
        if (value && !prealloc) {
            populate();
            prealloc = true;
        }
    }

    /** The kernel takes the pages in one call; the number is only remembered. */
    private void setPreallocThreads(long value) throws QmpException {
        if (value == 0) {
            throw new QmpException(
                    "property 'prealloc-threads' of " + type + " doesn't take value '0'");
        }
        preallocThreads = value;
    }

    private void setPreallocContext(String path) throws QmpException {
        if (!path.isEmpty()) {
            throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + path + "' not found");
        }
    }

    private void setHostNodes(List<Integer> nodes) throws QmpException {
        if (!nodes.isEmpty()) {
            throw onlyDefault("host-nodes");
        }
    }

    private void setPolicy(HostMemPolicy value) throws QmpException {
        if (value != HostMemPolicy.DEFAULT) {
            throw onlyDefault("policy");
        }
    }

    private QmpException onlyDefault(String property) {
        return new QmpException(
                "Property '"
                        + type
                        + "."
                        + property
                        + "' can only have its default value in this program");
    }

    final boolean share() {
        return share;
    }

    final boolean reserve() {
        return reserve;
    }

    @Override
    public final long size() {
        return size;
    }

    @Override
    public final String blockName() {
        return canonical ? "/objects/" + id : id;
    }

    @Override
    public final Mapping mapping() {
        Mapping m = mapping;
        if (m == null) {
            throw new IllegalStateException(type + " is not mapped");
        }
        return m;
    }

    @Override
    public final void use() throws QmpException {
        if (used) {
            throw new QmpException("can't use already busy memdev: " + id);
        }
        used = true;
    }

    @Override
    public final boolean removable() {
        return !used;
    }

    /** What query-memdev tells. */
    final Memdev describe() {
        return Memdev.builder()
                .id(id)
                .size(size)
                .merge(merge)
                .dump(dump)
                .prealloc(prealloc)
                .share(share)
                .reserve(reserve)
                .hostNodes(List.of())
                .policy(HostMemPolicy.DEFAULT)
                .build();
    }

    @Override
    public abstract List<QomProperty> properties();

    @Override
    public void close() {
        Mapping m = mapping;
        mapping = null;
        // Nobody can delete the machine's RAM: this is the end of the process, which a hung
        // migration may still read.
        if (m != null && !used) {
            m.close();
        }
    }
}
