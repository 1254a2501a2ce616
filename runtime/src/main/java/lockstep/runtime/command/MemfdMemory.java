package lockstep.runtime.command;

import lockstep.api.MemoryBackendMemfdProperties;
import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.linux.MemoryFile;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** {@code -object memory-backend-memfd}: a file without a name, which can be of huge pages. */
final class MemfdMemory extends MemoryObject {
    static final QomType<MemfdMemory> TYPE =
            QomType.<MemfdMemory>of("memory-backend-memfd", MemoryObject.TYPE)
                    .with(
                            "hugetlb",
                            QomKind.BOOL,
                            "Use huge pages",
                            o -> o.hugetlb,
                            (o, v) -> o.hugetlb = v)
                    .fixed(
                            "hugetlbsize",
                            QomKind.SIZE,
                            "Bytes of a huge page",
                            o -> o.pageSize,
                            o -> "cannot change property value")
                    .with(
                            "seal",
                            QomKind.BOOL,
                            "Nobody can change the file's length",
                            o -> o.seal,
                            (o, v) -> o.seal = v);

    private boolean hugetlb;
    private boolean seal;
    private final long pageSize;

    private MemfdMemory(ObjectOptions.MemoryBackendMemfd options) throws QmpException {
        super(TYPE.name(), options.id(), options.data(), true);
        MemoryBackendMemfdProperties p = options.data();
        hugetlb = Boolean.TRUE.equals(p.hugetlb());
        seal = !Boolean.FALSE.equals(p.seal());
        pageSize = pageSize(p.hugetlbsize(), hugetlb);
    }

    private static long pageSize(@Nullable Long given, boolean hugetlb) throws QmpException {
        if (given != null && given == 0) {
            throw new QmpException(
                    "Property 'memory-backend-memfd.hugetlbsize' doesn't take value '0'");
        }
        if (given != null && hugetlb && Long.bitCount(given) != 1) {
            throw new QmpException("Hugepage size must be a power of 2");
        }
        return given == null ? 0 : given;
    }

    static MemfdMemory create(ObjectOptions.MemoryBackendMemfd options) throws QmpException {
        MemfdMemory made = new MemfdMemory(options);
        made.take();
        return made;
    }

    @Override
    Mapping map(String id, long length) throws LinuxException, QmpException {
        try (MemoryFile file = MemoryFile.memfd(TYPE.name(), size(), hugetlb, pageSize, seal)) {
            if (length != size()) {
                throw new QmpException(
                        "backing store size 0x%x does not match 'size' option 0x%x"
                                .formatted(size(), length));
            }
            return file.map(0, length, share(), reserve());
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }
}
