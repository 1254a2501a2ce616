package lockstep.runtime.command;

import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.linux.Mapping;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import java.util.List;

/** {@code -object memory-backend-ram}: anonymous memory. */
final class RamMemory extends MemoryObject {
    static final QomType<RamMemory> TYPE = QomType.of("memory-backend-ram", MemoryObject.TYPE);

    private RamMemory(ObjectOptions.MemoryBackendRam options) throws QmpException {
        super(TYPE.name(), options.id(), options.data(), false);
    }

    static RamMemory create(ObjectOptions.MemoryBackendRam options) throws QmpException {
        RamMemory made = new RamMemory(options);
        made.take();
        return made;
    }

    @Override
    Mapping map(String id, long length) throws LinuxException {
        return Mapping.anonymous(
                length, share(), reserve(), "cannot set up guest memory '" + id + "'");
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }
}
