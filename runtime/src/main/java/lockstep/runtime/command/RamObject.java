package lockstep.runtime.command;

import lockstep.api.HostMemPolicy;
import lockstep.api.Memdev;
import lockstep.api.MemoryBackendProperties;
import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.spi.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * {@code -object memory-backend-ram}: anonymous memory. The memory itself is the board's, which maps it when
 * it is built; an object that no board names takes none.
 */
final class RamObject implements MemoryBackend {
    private final MemoryBackendProperties settings;
    private boolean used;

    private RamObject(MemoryBackendProperties settings) {
        this.settings = settings;
    }

    /** Makes one of {@code -object} options; what would need another kind of mapping is refused. */
    static RamObject create(ObjectOptions options) throws QmpException {
        if (!(options instanceof ObjectOptions.MemoryBackendRam ram)) {
            throw new IllegalArgumentException("not a memory-backend-ram: " + options);
        }
        MemoryBackendProperties p = ram.data();
        if (p.size() == 0) {
            throw new QmpException("property 'size' of memory-backend-ram doesn't take value '0'");
        }
        refuse("share", Boolean.TRUE.equals(p.share()));
        refuse("prealloc", Boolean.TRUE.equals(p.prealloc()));
        refuse("reserve", Boolean.FALSE.equals(p.reserve()));
        refuse("host-nodes", p.hostNodes() != null && !p.hostNodes().isEmpty());
        refuse("policy", p.policy() != null && p.policy() != HostMemPolicy.DEFAULT);
        return new RamObject(p);
    }

    private static void refuse(String property, boolean asked) throws QmpException {
        if (asked) {
            throw new QmpException(
                    "Property 'memory-backend-ram."
                            + property
                            + "' can only have its default value in this program");
        }
    }

    @Override
    public long size() {
        return settings.size();
    }

    @Override
    public void use() {
        used = true;
    }

    @Override
    public boolean removable() {
        return !used;
    }

    private static boolean unlessOff(@Nullable Boolean given) {
        return !Boolean.FALSE.equals(given);
    }

    /** What query-memdev tells. */
    Memdev describe(String id) {
        return Memdev.builder()
                .id(id)
                .size(size())
                .merge(unlessOff(settings.merge()))
                .dump(unlessOff(settings.dump()))
                .prealloc(false)
                .share(false)
                .reserve(true)
                .hostNodes(List.of())
                .policy(HostMemPolicy.DEFAULT)
                .build();
    }

    @Override
    public List<QomProperty> properties() {
        return List.of(
                QomProperty.of("size", "int", this::size),
                QomProperty.of("merge", "bool", () -> unlessOff(settings.merge())),
                QomProperty.of("dump", "bool", () -> unlessOff(settings.dump())),
                QomProperty.of("prealloc", "bool", () -> false),
                QomProperty.of("share", "bool", () -> false),
                QomProperty.of("reserve", "bool", () -> true));
    }

    @Override
    public void close() {}
}
