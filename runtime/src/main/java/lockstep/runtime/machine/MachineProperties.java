package lockstep.runtime.machine;

import lockstep.api.BootConfiguration;
import lockstep.api.MachineOptions;
import lockstep.api.MemorySizeConfiguration;
import lockstep.api.ObjectPropertyInfo;
import lockstep.api.SMPConfiguration;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.RecordType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The properties of the machine in the object tree: the options that it was made with. As in QEMU they can be set while
 * the machine is there, and say then how one would be made: the machine stays as it is. Under the machine lock.
 */
public final class MachineProperties {
    /** What every machine has, and all that there is of {@code -machine none}. */
    public static final RecordType<MachineOptions> COMMON =
            new RecordType<>(
                    MachineOptions::read,
                    MachineOptions::write,
                    MachineOptions.builder()
                            .memoryBackend("")
                            .memoryEncryption("")
                            .confidentialGuestSupport("")
                            .phandleStart(0L)
                            .append("")
                            .dtCompatible("")
                            .dtb("")
                            .dumpdtb("")
                            .initrd("")
                            .kernel("")
                            .firmware("")
                            .dumpGuestCore(true)
                            .graphics(true)
                            .memMerge(true)
                            .suppressVmdesc(false)
                            .usb(false)
                            .boot(BootConfiguration.builder().build())
                            .memory(MemorySizeConfiguration.builder().build())
                            .smp(SMPConfiguration.builder().build())
                            .build());

    private static final String MEMORY = "memory-backend";
    private static final String CONFIDENTIAL = "confidential-guest-support";

    /** What properties are called whose types the reader does not name. */
    private static final Map<String, String> TYPES =
            Map.of(
                    MEMORY,
                    "link<memory-backend>",
                    CONFIDENTIAL,
                    "link<" + CONFIDENTIAL + ">",
                    "boot",
                    "BootConfiguration",
                    "memory",
                    "MemorySizeConfiguration",
                    "smp",
                    "SMPConfiguration");

    /** Options that are no properties. */
    private static final Set<String> OPTIONS_ONLY =
            Set.of("type", "accel", "kernel-irqchip", "pcspk-audiodev");

    private final RecordType<?> type;
    private final JsonObject values;
    private final Map<String, Completion> completions = new HashMap<>();
    private Supplier<? extends Object> clock = Map::of;
    private final boolean hasClock;

    private MachineProperties(RecordType<?> type, JsonObject values, boolean hasClock) {
        this.type = type;
        this.values = values;
        this.hasClock = hasClock;
    }

    /** Those of a machine that was made with these options, the usual ones among them. */
    public static <O extends Record> MachineProperties of(
            RecordType<O> type, O options, boolean hasClock) {
        return new MachineProperties(type, type.toJson(options), hasClock);
    }

    /** What qom-list-properties says of machines with such options. */
    public static List<ObjectPropertyInfo> describe(RecordType<?> type) {
        return type.members().stream()
                .filter(m -> !OPTIONS_ONLY.contains(m.name()))
                .map(m -> new ObjectPropertyInfo(m.name(), shown(m), description(m), null))
                .toList();
    }

    private static String shown(MemberOutline member) {
        return TYPES.getOrDefault(
                member.name(), member.type().equals("str") ? "string" : member.type());
    }

    private static @Nullable String description(MemberOutline member) {
        return member.name().equals(MEMORY) ? "Set RAM backend" : null;
    }

    /** Sets the object that is the RAM, or null if there is none, and its size in bytes. */
    public void memory(@Nullable String id, long size) {
        values.put(MEMORY, new JsonString(id == null ? "" : "/objects/" + id));
        values.put("memory", new JsonObject().put("size", JsonNumber.ofUnsigned(size)));
    }

    /** Fills in what was left out of a value, or refuses it. */
    @FunctionalInterface
    public interface Completion {
        /** The whole value of a given one, which is of the right type. */
        JsonValue of(JsonValue given) throws QmpException;
    }

    /** Sets a property that has members, and what completes it when it is set later. */
    public void group(String name, JsonValue value, Completion completion) {
        values.put(name, value);
        completions.put(name, completion);
    }

    /**
     * Refuses the name of an object of a kind that there is not.
     *
     * @throws QmpException in QEMU's words
     */
    public static void check(String name, String value) throws QmpException {
        if (name.equals("memory-encryption")) {
            throw new QmpException("No such memory encryption object '" + value + "'");
        }
        if (name.equals(CONFIDENTIAL) && !value.isEmpty()) {
            throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + value + "' not found");
        }
    }

    /** Sets what tells the guest's date and time. */
    public void clock(Supplier<? extends Object> date) {
        clock = date;
    }

    /** All of them. */
    public List<QomProperty> list() {
        List<QomProperty> all = new ArrayList<>();
        for (MemberOutline m : type.members()) {
            if (!OPTIONS_ONLY.contains(m.name())) {
                all.add(
                        new QomProperty(
                                m.name(),
                                shown(m),
                                () -> values.get(m.name()),
                                m.name().equals(MEMORY) ? null : v -> set(type, m.name(), v)));
            }
        }
        if (hasClock) {
            all.add(QomProperty.of("rtc-time", "struct tm", () -> clock.get()));
        }
        return all;
    }

    private <O extends Record> void set(RecordType<O> reader, String name, JsonValue value)
            throws QmpException {
        JsonObject one = new JsonObject();
        one.put(name, value);
        JsonValue read = reader.toJson(reader.read(one, null)).get(name);
        if (read instanceof JsonString text) {
            check(name, text.value());
        }
        if (read != null) {
            Completion completion = completions.get(name);
            values.put(name, completion == null ? read : completion.of(read));
        }
    }
}
