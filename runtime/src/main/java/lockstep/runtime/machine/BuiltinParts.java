package lockstep.runtime.machine;

import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.NumberText;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.Supplier;

/**
 * The parts of a PC that no user adds, for the object tree: the bus each sits on, and its properties with QEMU's types
 * and defaults. Those of the types that users add come from the schema, see {@code DeviceManager}. Immutable.
 */
public final class BuiltinParts {
    /**
     * One type a line: its name and the bus, then the properties, with the default behind a colon; those with an
     * exclamation mark are no options. A name with a star is no type: its properties are those of all that name it in
     * the place of the bus.
     */
    private static final String TABLE =
            """
            *PCI pci.0 acpi-index=uint32:0 addr=int32:-1 failover_pair_id=str legacy-addr=str!\
             multifunction=bool:false rombar=uint32:1 romfile=str romsize=uint32:4294967295\
             x-pcie-extcap-init=bool:true x-pcie-lnksta-dllla=bool:true
            *BLOCK - account-failed=OnOffAuto:auto account-invalid=OnOffAuto:auto\
             backend_defaults=OnOffAuto:auto discard_granularity=size:4294967295 drive=str\
             logical_block_size=size:0 min_io_size=size:0 opt_io_size=size:0\
             physical_block_size=size:0 share-rw=bool:false unit=uint32:4294967295\
             write-cache=OnOffAuto:auto
            isa-fdc isa.0 bootindexA=int32 bootindexB=int32 dma=uint32:2 fallback=FdcDriveType:288\
             fdtypeA=FdcDriveType:auto fdtypeB=FdcDriveType:auto iobase=uint32:1008 irq=uint32:6
            floppy *BLOCK drive-type=FdcDriveType:auto
            piix3-ide *PCI
            PIIX3 *PCI
            PIIX4_PM *PCI acpi-pci-hotplug-with-bridge-support=bool:true\
             acpi-root-pci-hotplug=bool:true disable_s3=uint8:0 disable_s4=uint8:0\
             memory-hotplug-support=bool:true s4_val=uint8:2 smb_io_base=uint32:0\
             smm-compat=bool:false smm-enabled=bool:false x-not-migrate-acpi-index=bool:false
            i440FX *PCI
            i440FX-pcihost sysbus bypass-iommu=bool:false pci-hole64-size=size:2147483648\
             short_root_bus=uint32:0 x-config-reg-migration-enabled=bool:true\
             x-pci-hole64-fix=bool:true
            mc146818rtc isa.0 base_year=int32:1980 iobase=uint16:112 irq=uint8:8\
             lost_tick_policy=LostTickPolicy:discard
            kvm-i8259 isa.0 elcr_addr=uint32:4294967295 elcr_mask=uint8:255\
             iobase=uint32:4294967295 master=bool:false
            kvm-pit isa.0 iobase=uint32:4294967295 lost_tick_policy=LostTickPolicy:delay
            kvm-ioapic sysbus gsi_base=uint32:0
            kvm-apic - id=uint32 vapic=bool:true version=uint8:20
            hpet sysbus hpet-intcap=uint32:0 hpet-offset-saved=bool:true msi=bool:false\
             timers=uint8:3
            i8257 isa.0 base=int32:0 dshift=int32:0 page-base=int32:128 pageh-base=int32:1152
            i8042 isa.0 extended-state=bool:true kbd-irq=uint8:1 kbd-throttle=bool:false\
             mouse-irq=uint8:12
            isa-pcspk isa.0 audiodev=str iobase=uint32:97 migrate=bool:true
            vmport isa.0 vmware-vmx-type=uint8:2 vmware-vmx-version=uint32:6 x-cmds-v2=bool:true\
             x-read-set-eax=bool:true x-report-vmx-type=bool:true x-signal-unsupported-cmd=bool:true
            vmmouse isa.0
            port92 isa.0
            fw_cfg_io sysbus acpi-mr-restore=bool:true dma_enabled=bool:true x-file-slots=uint16:32
            kvmclock sysbus x-mach-use-reliable-get-clock=bool:true
            kvmvapic sysbus
            smbus-eeprom i2c address=uint8:0
            """;

    /** One property; {@code shown}: it is there to be read, and no option. */
    private record Property(String name, String type, @Nullable JsonValue initial, boolean shown) {
        ObjectPropertyInfo info() {
            return new ObjectPropertyInfo(name, type, null, initial);
        }

        /** Its value when nobody has set it. */
        JsonValue unset() {
            if (initial != null) {
                return initial;
            }
            return switch (type) {
                case "bool" -> new JsonBoolean(false);
                case "int32" -> JsonNumber.of(-1);
                default -> new JsonString("");
            };
        }
    }

    private record Type(String name, String bus, List<Property> properties) {}

    private static final Map<String, Type> TYPES = read();

    private static final String BUS_LINK = "link<bus>";

    /** What every device has. */
    private static final Map<String, String> COMMON =
            Map.of(
                    "realized", "bool",
                    "hotplugged", "bool",
                    "hotpluggable", "bool",
                    "parent_bus", BUS_LINK);

    private BuiltinParts() {}

    private static Map<String, Type> read() {
        Map<String, Type> types = new LinkedHashMap<>();
        for (String line : TABLE.strip().split("\n", -1)) {
            String[] words = line.strip().split(" +", -1);
            List<Property> properties = new ArrayList<>();
            Type base = types.get(words[1]);
            if (base != null) {
                properties.addAll(base.properties);
            }
            for (int i = 2; i < words.length; i++) {
                properties.add(property(words[i]));
            }
            String bus = base == null ? words[1] : base.bus;
            types.put(words[0], new Type(words[0], bus, List.copyOf(properties)));
        }
        return types;
    }

    private static Property property(String word) {
        int equals = word.indexOf('=');
        boolean shown = word.endsWith("!");
        String type = word.substring(equals + 1, shown ? word.length() - 1 : word.length());
        int colon = type.indexOf(':');
        JsonValue initial = colon < 0 ? null : value(type, colon);
        return new Property(
                word.substring(0, equals),
                colon < 0 ? type : type.substring(0, colon),
                initial,
                shown);
    }

    private static JsonValue value(String text, int colon) {
        return value(text.substring(0, colon), text.substring(colon + 1));
    }

    /** The JSON of a value that stands as text in an option. */
    private static JsonValue value(String type, String text) {
        return switch (type) {
            case "bool" ->
                    new JsonBoolean(text.equals("true") || text.equals("on") || text.equals("yes"));
            case "int32", "uint8", "uint16", "uint32", "uint64", "size" -> number(text);
            default -> new JsonString(text);
        };
    }

    private static JsonValue number(String text) {
        OptionalLong read =
                text.startsWith("-")
                        ? NumberText.signed(text).toOptional()
                        : NumberText.size(text).toOptional();
        return read.isPresent() ? JsonNumber.of(read.getAsLong()) : new JsonString(text);
    }

    /** What a user may set on a device: device-list-properties. */
    public static List<ObjectPropertyInfo> options(String type) {
        return properties(type).stream().filter(p -> !p.shown).map(Property::info).toList();
    }

    /** What every device has. */
    public static List<ObjectPropertyInfo> common() {
        List<ObjectPropertyInfo> all = new ArrayList<>();
        COMMON.forEach((name, kind) -> all.add(new ObjectPropertyInfo(name, kind, null, null)));
        return all;
    }

    private static List<Property> properties(String type) {
        Type found = TYPES.get(type);
        return found == null ? List.of() : found.properties;
    }

    /**
     * The properties of one device.
     *
     * @param given what was set when it was made, as text
     * @param own what it tells itself; the rest is as given, or the default
     */
    public static List<QomProperty> of(
            ObjectTree tree, String type, Map<String, String> given, List<QomProperty> own) {
        Map<String, QomProperty> all = new LinkedHashMap<>();
        all.put(
                "realized",
                new QomProperty("realized", "bool", () -> true, v -> stayRealized(type, v)));
        all.put("hotplugged", QomProperty.of("hotplugged", "bool", () -> false));
        all.put("hotpluggable", QomProperty.of("hotpluggable", "bool", () -> false));
        all.put("parent_bus", parentBus(tree, bus(type)));
        for (Property p : properties(type)) {
            String text = given.get(p.name);
            JsonValue value = text == null ? p.unset() : value(p.type, text);
            all.put(p.name, fixed(type, p, () -> value));
        }
        for (QomProperty o : own) {
            QomProperty listed = all.get(o.name());
            if (listed == null || o.writer() != null) {
                all.put(o.name(), o);
            } else {
                all.put(
                        o.name(),
                        new QomProperty(o.name(), listed.type(), o.reader(), listed.writer()));
            }
        }
        return List.copyOf(all.values());
    }

    /** The property that says which bus a device sits on, by the name of the bus. */
    public static QomProperty parentBus(ObjectTree tree, String bus) {
        return QomProperty.of(
                "parent_bus",
                BUS_LINK,
                () -> {
                    ObjectTree.Node node = bus.isEmpty() ? null : tree.find(bus);
                    return node == null ? "" : node.path();
                });
    }

    private static String bus(String type) {
        Type found = TYPES.get(type);
        return found == null ? "" : found.bus;
    }

    private static QomProperty fixed(String type, Property p, Supplier<Object> value) {
        return p.shown
                ? QomProperty.of(p.name, p.type, value)
                : QomProperty.fixed(p.name, p.type, value, type, null);
    }

    private static void stayRealized(String type, JsonValue value) throws QmpException {
        switch (value) {
            case JsonBoolean b when b.value() -> {}
            case JsonBoolean b ->
                    throw new QmpException("Device '" + type + "' can not be taken out this way");
            default ->
                    throw new QmpException(
                            "Invalid parameter type for 'realized', expected: boolean");
        }
    }
}
