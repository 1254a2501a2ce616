package lockstep.runtime.machine;

import lockstep.api.OnOffAuto;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * The properties of the machine in the object tree. As in QEMU they can be set while the machine is there, and say
 * then how one would be made: the machine stays as it is. Under the machine lock.
 */
public final class MachineProperties {
    private static final QomKind<OnOffAuto> ON_OFF_AUTO =
            new QomKind<>("OnOffAuto", OnOffAuto::read, OnOffAuto::wireName);
    private static final QomKind<Long> SIZE = QomKind.SIZE.as("size");

    /** What every machine has. */
    private static final QomType<MachineProperties> MACHINE = machine();

    /** What a PC has. */
    private static final QomType<MachineProperties> PC = pc();

    private final String type;
    private final Map<String, Object> values = new LinkedHashMap<>();
    private Supplier<? extends Object> clock = Map::of;

    /**
     * Those of a machine as it was asked for.
     *
     * @param type such as {@code pc-i440fx-10.2-machine}
     * @param given what {@code -machine} says, as text
     */
    public MachineProperties(String type, Map<String, String> given) {
        this.type = type;
        given.forEach(
                (name, text) ->
                        values.put(
                                name,
                                switch (text) {
                                    case "on", "yes", "true", "y" -> true;
                                    case "off", "no", "false", "n" -> false;
                                    default -> text;
                                }));
    }

    /** The description of a type of machines. */
    public static QomType<MachineProperties> type(String name) {
        QomType<MachineProperties> base = name.equals("none-machine") ? MACHINE : PC;
        return QomType.of(name, base);
    }

    /** Whether machines of a type have a property. */
    public static boolean has(String type, String property) {
        return type(type).describe().stream().anyMatch(p -> p.name().equals(property));
    }

    /** Sets the object that is the RAM; null: there is none. */
    public void memory(@Nullable String id) {
        values.put("memory-backend", id == null ? "" : "/objects/" + id);
    }

    private static QomType<MachineProperties> machine() {
        QomType<MachineProperties> type =
                QomType.<MachineProperties>abstraction("machine")
                        .with(
                                "memory-backend",
                                QomKind.link("memory-backend"),
                                "Set RAM backend",
                                o -> o.string("memory-backend", ""),
                                null);
        for (String name :
                List.of("append", "dt-compatible", "dtb", "dumpdtb", "initrd", "kernel")) {
            type = text(type, name, "");
        }
        type = text(type, "firmware", "");
        type = flag(type, "dump-guest-core", true);
        type = flag(type, "graphics", true);
        type = flag(type, "mem-merge", true);
        type = flag(type, "suppress-vmdesc", false);
        return flag(type, "usb", false);
    }

    private static QomType<MachineProperties> pc() {
        QomType<MachineProperties> type = QomType.of("generic-pc-machine", MACHINE);
        for (String name : List.of("acpi", "pic", "pit", "smm", "vmport")) {
            type =
                    type.with(
                            name,
                            ON_OFF_AUTO,
                            null,
                            o -> o.onOffAuto(name),
                            (o, v) -> o.values.put(name, v.wireName()));
        }
        for (String name : List.of("fd-bootchk", "hpet", "i8042", "sata", "smbus")) {
            type = flag(type, name, true);
        }
        type = flag(type, "default-bus-bypass-iommu", false);
        type = text(type, "x-oem-id", "BOCHS ");
        type = text(type, "x-oem-table-id", "BXPC    ");
        type = size(type, "max-fw-size", 8L << 20);
        return size(type, "max-ram-below-4g", 0xe000_0000L);
    }

    private static QomType<MachineProperties> text(
            QomType<MachineProperties> type, String name, String initial) {
        return type.with(
                name,
                QomKind.STRING,
                null,
                o -> o.string(name, initial),
                (o, v) -> o.values.put(name, v));
    }

    private static QomType<MachineProperties> flag(
            QomType<MachineProperties> type, String name, boolean initial) {
        return type.with(
                name,
                QomKind.BOOL,
                null,
                o -> Boolean.TRUE.equals(o.values.getOrDefault(name, initial)),
                (o, v) -> o.values.put(name, v));
    }

    private static QomType<MachineProperties> size(
            QomType<MachineProperties> type, String name, long initial) {
        return type.with(
                name,
                SIZE,
                null,
                o -> o.values.get(name) instanceof Long l ? l : Long.valueOf(initial),
                (o, v) -> o.values.put(name, v));
    }

    private String string(String name, String initial) {
        return String.valueOf(values.getOrDefault(name, initial));
    }

    private OnOffAuto onOffAuto(String name) {
        Object value = values.getOrDefault(name, "auto");
        String text = value instanceof Boolean b ? b ? "on" : "off" : String.valueOf(value);
        return Objects.requireNonNullElse(
                OnOffAuto.find(text.toLowerCase(Locale.ROOT)), OnOffAuto.AUTO);
    }

    /** Sets what tells the guest's date and time. */
    public void clock(Supplier<? extends Object> date) {
        clock = date;
    }

    /** All of them. */
    public List<QomProperty> list() {
        List<QomProperty> all = new ArrayList<>(type(type).properties(this));
        if (!type.equals("none-machine")) {
            all.add(QomProperty.of("rtc-time", "struct tm", () -> clock.get()));
        }
        return all;
    }
}
