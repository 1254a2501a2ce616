package lockstep.runtime.command;

import lockstep.api.ObjectPropertyInfo;
import lockstep.api.ObjectTypeInfo;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.object.QomType;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.spi.MachineType;

import org.jspecify.annotations.Nullable;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The types of objects and what they specialise: what this process can make and what its boards are built
 * from, below the abstract types by which QEMU's clients look for them.
 */
final class ObjectTypes {
    /** Not a type but an interface: what object-add makes. */
    private static final String USER_CREATABLE = "user-creatable";

    /** One line for each type of which there are no objects, with all that specialise it directly. */
    private static final Map<String, String> ABSTRACT =
            parents(
                    """
                    object: accel bus chardev device machine
                    device: apic-common cpu i2c-slave ide-device isa-device pci-device sys-bus-device
                    device: usb-device
                    cpu: x86_64-cpu
                    machine: x86-machine
                    x86-machine: generic-pc-machine
                    i2c-slave: smbus-device
                    isa-device: pic-common pit-common
                    pci-device: e1000-base pci-ide pci-piix pci-uhci-usb pci-vga
                    sys-bus-device: fw_cfg ioapic-common pci-host-bridge
                    usb-device: usb-hid
                    """);

    /** The same for the parts of a PC, which are there whether or not users can add more of them. */
    private static final Map<String, String> PARTS =
            parents(
                    """
                    object: container
                    bus: IDE ISA PCI System floppy-bus i2c-bus usb-bus
                    device: floppy
                    apic-common: apic kvm-apic
                    e1000-base: e1000
                    fw_cfg: fw_cfg_io
                    ide-device: ide-cd ide-hd
                    ioapic-common: ioapic kvm-ioapic
                    isa-device: i8042 i8257 isa-debugcon isa-fdc isa-parallel isa-pcspk isa-serial
                    isa-device: mc146818rtc port92 vmmouse vmport
                    pci-device: PIIX4_PM i440FX
                    pci-host-bridge: i440FX-pcihost
                    pci-ide: piix3-ide
                    pci-piix: PIIX3
                    pci-uhci-usb: piix3-usb-uhci
                    pci-vga: VGA secondary-vga
                    pic-common: isa-i8259 kvm-i8259
                    pit-common: isa-pit kvm-pit
                    smbus-device: smbus-eeprom
                    sys-bus-device: hpet kvmclock kvmvapic
                    usb-hid: usb-kbd usb-mouse usb-tablet
                    """);

    /**
     * What types without objects can be told themselves, besides what those can that they specialise. Of the others
     * that is whatever all can that specialise them.
     */
    private static final Map<String, Set<String>> OWN =
            Map.of(
                    "apic-common", Set.of("vapic", "version"),
                    "e1000-base", Set.of(),
                    "fw_cfg", Set.of("acpi-mr-restore"),
                    "ide-device", Set.of("unit"),
                    "pci-host-bridge", Set.of("bypass-iommu", "x-config-reg-migration-enabled"),
                    "pci-uhci-usb", Set.of(),
                    "pci-vga", Set.of(),
                    "usb-device", Set.of("msos-desc", "pcap", "port", "serial"),
                    "usb-hid", Set.of(),
                    "x86-machine",
                            Set.of("acpi", "pic", "pit", "smm", "x-oem-id", "x-oem-table-id"));

    /** What devices of users specialise that are not named above, by the type of bus they go to. */
    private static final Map<String, String> ON_BUS =
            Map.of(
                    "IDE", "ide-device",
                    "ISA", "isa-device",
                    "PCI", "pci-device",
                    "usb-bus", "usb-device");

    private static Map<String, String> parents(String lines) {
        Map<String, String> parents = new LinkedHashMap<>();
        for (String line : lines.strip().split("\n", -1)) {
            String[] words = line.split(":? ", -1);
            for (int i = 1; i < words.length; i++) {
                parents.put(words[i], words[0]);
            }
        }
        return parents;
    }

    private final VmmProcess vmm;

    ObjectTypes(VmmProcess vmm) {
        this.vmm = vmm;
    }

    /** The description of what {@code -object} makes and of what that specialises; null for other types. */
    @Nullable QomType<?> declared(String type) {
        for (QomType<?> offered : vmm.objects().declarations()) {
            for (QomType<?> t = offered; t != null; t = t.parent()) {
                if (t.name().equals(type)) {
                    return t;
                }
            }
        }
        return null;
    }

    /** All types but {@code object}, with what they specialise. */
    private Map<String, ObjectTypeInfo> all() {
        Map<String, ObjectTypeInfo> all = new LinkedHashMap<>();
        for (QomType<?> offered : vmm.objects().declarations()) {
            for (QomType<?> t = offered; t != null; t = t.parent()) {
                QomType<?> parent = t.parent();
                put(all, t.name(), t.isAbstract(), parent == null ? "object" : parent.name());
            }
        }
        ABSTRACT.forEach((type, parent) -> put(all, type, true, parent));
        PARTS.forEach((type, parent) -> put(all, type, false, parent));
        for (String driver : vmm.devices().drivers()) {
            String bus = vmm.devices().busType(driver);
            put(all, driver, false, ON_BUS.getOrDefault(bus, "device"));
        }
        put(all, CpuModel.typeName("host"), false, CpuModel.typeName("max"));
        CpuModel.NAMES.forEach(n -> put(all, CpuModel.typeName(n), false, "x86_64-cpu"));
        for (MachineType<?> t : vmm.machineTypes()) {
            put(all, t.name() + "-machine", false, "generic-pc-machine");
        }
        put(all, "none-machine", false, "machine");
        for (AcceleratorType t : vmm.acceleratorTypes()) {
            put(all, t.name() + "-accel", false, "accel");
            t.aliases().forEach(a -> put(all, a + "-accel", false, "accel"));
        }
        return all;
    }

    private static void put(
            Map<String, ObjectTypeInfo> all, String type, boolean isAbstract, String parent) {
        all.putIfAbsent(type, new ObjectTypeInfo(type, isAbstract ? true : null, parent));
    }

    /** Whether there is such a type. */
    boolean exists(String type) {
        return type.equals("object") || all().containsKey(type);
    }

    /** Whether a type is, or specialises, another one. */
    boolean isA(String type, String base) {
        return isA(type, base, all());
    }

    private boolean isA(String type, String base, Map<String, ObjectTypeInfo> all) {
        if (base.equals(USER_CREATABLE)) {
            return vmm.objects().types().contains(type);
        }
        String at = type;
        while (at != null && !at.equals(base)) {
            ObjectTypeInfo info = all.get(at);
            at = info == null ? null : info.parent();
        }
        return at != null || base.equals("object");
    }

    /** What a type can be told of what all can that specialise it. */
    List<ObjectPropertyInfo> own(
            String type,
            List<ObjectPropertyInfo> all,
            Function<String, List<ObjectPropertyInfo>> ofOther) {
        Set<String> own = OWN.get(type);
        ObjectTypeInfo info = all().get(type);
        String parent = info == null ? null : info.parent();
        if (own == null || parent == null) {
            return all;
        }
        List<String> inherited =
                ofOther.apply(parent).stream().map(ObjectPropertyInfo::name).toList();
        return all.stream()
                .filter(p -> own.contains(p.name()) || inherited.contains(p.name()))
                .toList();
    }

    /** What can be set on an accelerator of a type. */
    List<ObjectPropertyInfo> ofAccelerator(String type) {
        for (AcceleratorType t : vmm.acceleratorTypes()) {
            if (Stream.concat(Stream.of(t.name()), t.aliases().stream())
                    .anyMatch(name -> type.equals(name + "-accel"))) {
                return t.properties().entrySet().stream()
                        .map(
                                p ->
                                        new ObjectPropertyInfo(
                                                p.getKey(),
                                                p.getValue().kind().name(),
                                                p.getValue().effect(),
                                                null))
                        .sorted(Comparator.comparing(ObjectPropertyInfo::name))
                        .toList();
            }
        }
        return List.of();
    }

    /** Whether there is such a type of devices, and objects of it. */
    boolean isDevice(String type) {
        Map<String, ObjectTypeInfo> all = all();
        ObjectTypeInfo info = all.get(type);
        return info != null && info.abstract_() == null && isA(type, "device", all);
    }

    /** Why users cannot add a device of a type that no driver makes; null if there is no such type. */
    @Nullable String whyNotPluggable(String type) {
        if (isDevice(type)) {
            return "Parameter 'driver' expects a pluggable device type";
        }
        return exists(type) && isA(type, "device")
                ? "Parameter 'driver' expects a non-abstract device type"
                : null;
    }

    /** What qom-list-types answers. */
    List<ObjectTypeInfo> list(@Nullable String base, boolean withAbstract) {
        Map<String, ObjectTypeInfo> all = all();
        return all.values().stream()
                .filter(t -> withAbstract || t.abstract_() == null)
                .filter(t -> base == null || isA(t.name(), base, all))
                .toList();
    }
}
