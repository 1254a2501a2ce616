package lockstep.runtime.commandline;

import lockstep.api.MachineOptionsMembers;
import lockstep.api.MemoryBackendFileProperties;
import lockstep.api.MemoryBackendProperties;
import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.MemoryBackend;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.process.VmmProcess;

import java.util.Map;
import java.util.Set;

/** The RAM that the command line asks for: how much, and which object it is. Under the machine lock. */
final class MachineMemory {
    private final VmmProcess vmm;
    private final GivenSettings settings;

    MachineMemory(VmmProcess vmm, GivenSettings settings) {
        this.vmm = vmm;
        this.settings = settings;
    }

    /** {@code -m}. */
    void size(String text) throws OptionException {
        OptionValues values =
                OptionValues.parse(text, "size").only(Set.of("size", "slots", "maxmem"));
        Map<String, String> members = settings.groups.memoryOption();
        String size = values.get("size");
        if (size != null) {
            boolean some = OptionValues.size("size", size, 'b') != 0;
            // A bare number counts MiB; what only looks like one, such as 0x10, is no size then.
            boolean bare = Character.isDigit(size.charAt(size.length() - 1));
            if (some) {
                members.put("size", bare ? size + "M" : size);
            } else {
                members.remove("size");
            }
        } else if (values.values().isEmpty()) {
            members.remove("size");
        }
        if (values.get("slots") != null) {
            members.put("slots", String.valueOf(values.number("slots", 0)));
        }
        String most = values.get("maxmem");
        if (most != null) {
            members.put("max-size", String.valueOf(OptionValues.size("maxmem", most, 'b')));
        }
    }

    /** The size is known: what would need memory to come later is refused. */
    void check(RamSize size) throws OptionException {
        if (size.most() != size.bytes()) {
            throw new OptionException("memory hot-plug (slots, maxmem) is not supported", false);
        }
    }

    /** The object that is the RAM: the user's, whose size counts when {@code -m} gives none, or one made now. */
    MemoryBackend take(String name, MachineOptionsMembers machine) throws OptionException {
        String id = settings.machineProperties.get("memory-backend");
        if (id == null) {
            id = name;
            makeMemory(id, machine);
            settings.machineProperties.put("memory-backend", id);
        } else if (settings.memoryPath != null) {
            throw new OptionException(
                    "'-mem-path' can't be used together with '-machine memory-backend'", false);
        }
        MemoryBackend backend = vmm.objects().object(id, MemoryBackend.class);
        if (backend == null) {
            throw new OptionException("Memory backend '" + id + "' not found", false);
        }
        if (settings.ramSize == 0) {
            settings.ramSize = backend.size();
        }
        if (settings.ramSize != backend.size()) {
            throw new OptionException(
                    "Machine memory size does not match the size of the memory backend", false);
        }
        try {
            backend.use();
            if (settings.memoryPreallocated) {
                backend.preallocate();
            }
        } catch (QmpException e) {
            throw new OptionException(e.description(), false);
        }
        return backend;
    }

    private void makeMemory(String id, MachineOptionsMembers machine) throws OptionException {
        if (vmm.objects().object(id) != null) {
            throw new OptionException(
                    "object name '"
                            + id
                            + "' is reserved for the default RAM backend, it can't be used for any"
                            + " other purposes. Change the object's 'id' to something else",
                    false);
        }
        if (settings.ramSize == 0) {
            settings.ramSize = GivenSettings.DEFAULT_RAM;
        }
        String path = settings.memoryPath;
        try {
            vmm.objects()
                    .create(
                            path == null
                                    ? anonymousMemory(id, machine)
                                    : fileMemory(id, path, machine));
        } catch (QmpException e) {
            throw new OptionException(e.description(), false);
        }
    }

    private ObjectOptions anonymousMemory(String id, MachineOptionsMembers machine) {
        return new ObjectOptions.MemoryBackendRam(
                id,
                MemoryBackendProperties.builder()
                        .size(settings.ramSize)
                        .merge(machine.memMerge())
                        .dump(machine.dumpGuestCore())
                        .build());
    }

    private ObjectOptions fileMemory(String id, String path, MachineOptionsMembers machine) {
        return new ObjectOptions.MemoryBackendFile(
                id,
                MemoryBackendFileProperties.builder()
                        .size(settings.ramSize)
                        .memPath(path)
                        .merge(machine.memMerge())
                        .dump(machine.dumpGuestCore())
                        .build());
    }
}
