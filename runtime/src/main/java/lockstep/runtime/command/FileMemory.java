package lockstep.runtime.command;

import lockstep.api.MemoryBackendFileProperties;
import lockstep.api.ObjectOptions;
import lockstep.api.OnOffAuto;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.linux.MemoryFile;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** {@code -object memory-backend-file}: a file, or one without a name in a directory such as of hugetlbfs. */
final class FileMemory extends MemoryObject {
    private static final long PAGE = 4096;
    private static final QomKind<OnOffAuto> ROM =
            new QomKind<>("OnOffAuto", OnOffAuto::read, OnOffAuto::wireName);

    static final QomType<FileMemory> TYPE =
            QomType.<FileMemory>of("memory-backend-file", MemoryObject.TYPE)
                    .with(
                            "mem-path",
                            QomKind.STRING,
                            null,
                            o -> o.path,
                            (o, v) -> keep("mem-path", ""))
                    .fixed("offset", QomKind.SIZE, null, o -> o.offset, o -> refusal("offset"))
                    .fixed("align", QomKind.SIZE, null, o -> o.align, o -> refusal("align"))
                    .with(
                            "discard-data",
                            QomKind.BOOL,
                            null,
                            o -> o.discard,
                            (o, v) -> o.discard = v)
                    .with("pmem", QomKind.BOOL, null, o -> false, (o, v) -> keep("pmem", "."))
                    .with(
                            "readonly",
                            QomKind.BOOL,
                            null,
                            o -> false,
                            (o, v) -> keep("readonly", "."))
                    .with("rom", ROM, null, o -> o.rom, (o, v) -> keep("rom", "."));

    private static String refusal(String property) {
        return "cannot change property '" + property + "' of memory-backend-file";
    }

    private static void keep(String property, String end) throws QmpException {
        throw new QmpException(refusal(property) + end);
    }

    private final String path;
    private final long offset;
    private final long align;
    private final OnOffAuto rom;
    private boolean discard;

    private FileMemory(ObjectOptions.MemoryBackendFile options) throws QmpException {
        super(TYPE.name(), options.id(), options.data(), false);
        MemoryBackendFileProperties p = options.data();
        path = p.memPath();
        offset = orZero(p.offset());
        align = orZero(p.align());
        rom = p.rom() == null ? OnOffAuto.AUTO : p.rom();
        discard = Boolean.TRUE.equals(p.discardData());
        if (Boolean.TRUE.equals(p.readonly()) || rom == OnOffAuto.ON) {
            throw new QmpException(
                    "Property 'memory-backend-file."
                            + (rom == OnOffAuto.ON ? "rom" : "readonly")
                            + "' can only be off in this program: a guest writes to its memory");
        }
        if (Boolean.TRUE.equals(p.pmem())) {
            throw new QmpException(
                    "Property 'memory-backend-file.pmem' can only be off in this program");
        }
        if (size() % PAGE != 0) {
            throw new QmpException(
                    "backend 'memory-backend-file' memory size must be multiple of 4 KiB");
        }
        if (align % PAGE != 0) {
            throw new QmpException(
                    "alignment 0x%x must be multiples of page size 0x%x".formatted(align, PAGE));
        }
    }

    private static long orZero(@Nullable Long given) {
        return given == null ? 0 : given;
    }

    static FileMemory create(ObjectOptions.MemoryBackendFile options) throws QmpException {
        FileMemory made = new FileMemory(options);
        made.take();
        return made;
    }

    @Override
    Mapping map(String id, long length) throws QmpException, LinuxException {
        try (MemoryFile file = MemoryFile.open(path)) {
            long there = file.length();
            if (there > 0 && Long.compareUnsigned(there, offset + length) < 0) {
                throw new QmpException(
                        "%s backing store size 0x%x is too small for 'size' option 0x%x plus 'offset' option 0x%x"
                                .formatted(id, there, length, offset));
            }
            if (there == 0) {
                file.length(offset + length);
            }
            return file.map(offset, length, share(), reserve());
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {
        if (discard && share()) {
            discard();
        }
        super.close();
    }
}
