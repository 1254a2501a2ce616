package lockstep.runtime.command;

import lockstep.api.ObjectTypeInfo;
import lockstep.runtime.VmmProcess;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.spi.MachineType;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The types of objects and what they specialise, as far as clients ask for it: what this process can make,
 * below the abstract types by which QEMU's clients look for them.
 */
final class ObjectTypes {
    /** Types of which there are no objects, with what they specialise; object is the root. */
    private static final Map<String, String> ABSTRACT =
            Map.of(
                    "device", "object",
                    "cpu", "device",
                    "x86_64-cpu", "cpu",
                    "machine", "object",
                    "x86-machine", "machine",
                    "generic-pc-machine", "x86-machine",
                    "netfilter", "object",
                    "chardev", "object");

    /** Not a type but an interface: what object-add makes. */
    private static final String USER_CREATABLE = "user-creatable";

    private final VmmProcess vmm;

    ObjectTypes(VmmProcess vmm) {
        this.vmm = vmm;
    }

    /** The types of which there are objects, with what they specialise. */
    private Map<String, String> concrete() {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("container", "object");
        vmm.objects()
                .types()
                .forEach(t -> all.put(t, t.startsWith("filter-") ? "netfilter" : "object"));
        vmm.devices().drivers().forEach(t -> all.put(t, "device"));
        CpuModel.NAMES.forEach(name -> all.put(CpuModels.typeName(name), "x86_64-cpu"));
        for (MachineType t : vmm.machineTypes()) {
            all.put(t.name() + "-machine", "generic-pc-machine");
        }
        all.put("none-machine", "machine");
        return all;
    }

    /** Whether there is such a type. */
    boolean exists(String type) {
        return type.equals("object") || ABSTRACT.containsKey(type) || concrete().containsKey(type);
    }

    /** Whether a type is, or specialises, another one. */
    boolean isA(String type, String base) {
        return isA(type, base, concrete(), Set.copyOf(vmm.objects().types()));
    }

    private static boolean isA(
            String type, String base, Map<String, String> concrete, Set<String> creatable) {
        if (base.equals(USER_CREATABLE)) {
            return creatable.contains(type);
        }
        String at = type;
        while (at != null && !at.equals(base)) {
            String parent = concrete.get(at);
            at = parent != null ? parent : ABSTRACT.get(at);
        }
        return at != null;
    }

    /** What qom-list-types answers. */
    List<ObjectTypeInfo> list(@Nullable String base, boolean withAbstract) {
        Map<String, String> concrete = concrete();
        Set<String> creatable = Set.copyOf(vmm.objects().types());
        Map<String, ObjectTypeInfo> out = new LinkedHashMap<>();
        concrete.forEach((t, parent) -> out.put(t, new ObjectTypeInfo(t, null, parent)));
        if (withAbstract) {
            ABSTRACT.forEach((t, parent) -> out.put(t, new ObjectTypeInfo(t, true, parent)));
        }
        return out.values().stream()
                .filter(t -> base == null || isA(t.name(), base, concrete, creatable))
                .toList();
    }
}
