package lockstep.runtime.spi;

import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.RecordType;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * A type of devices, of users' or of parts of the board. The schema says what one can be told; reading, {@code -device
 * X,help}, device-list-properties, qom-list, qom-get and qom-set all derive from that and from the usual
 * values. Immutable.
 *
 * @param <O> the generated record of its options
 */
public final class DeviceType<O extends Record> {
    /** Makes devices. Called under the machine lock. */
    @FunctionalInterface
    public interface Factory<O extends Record> {
        /**
         * Makes the device and plugs it into the machine.
         *
         * @param scope holds what the device takes; it is closed if this fails
         */
        Device create(DeviceRequest<O> request, DeviceScope scope) throws DeviceException;
    }

    /** Says where devices go that are not told. Called under the machine lock. */
    @FunctionalInterface
    public interface Placement {
        /** The name of a bus of the right type, one with room if there is one; null if there is none. */
        @Nullable String bus(Machine machine);
    }

    /** When users may add a device, and take it out, as far as the device is concerned. */
    public enum Plugging {
        /** Whenever its bus lets them. */
        ANY_TIME,
        /** While the machine is being made. */
        COLD,
        /** Never: it is a part of the board. */
        BUILT_IN
    }

    /**
     * The buses on which devices of a type go.
     *
     * @param type such as {@code PCI}
     * @param hot whether devices may come and go while the machine is running
     */
    public record Home(String type, boolean hot, Placement placement) {}

    /** Says what is wrong with values of the right type, one by one: not all may be there. */
    @FunctionalInterface
    public interface Check<O> {
        /** Looks at what was given. */
        void check(O given) throws DeviceException;
    }

    /** What qom-list shows of each device, and nobody may set. */
    private static final Set<String> OF_ALL =
            Set.of("type", "realized", "hotplugged", "hotpluggable", "parent_bus");

    private final String name;
    private final RecordType<O> record;
    private final Home home;
    private final Plugging plugging;
    private final Set<String> free;
    private final Factory<O> factory;
    private final Check<O> check;
    private final Map<String, String> shownAs;
    private final Map<String, JsonValue> shownInitially;

    private DeviceType(
            String name,
            RecordType<O> record,
            Home home,
            Plugging plugging,
            Set<String> free,
            Factory<O> factory,
            Check<O> check,
            Map<String, String> shownAs,
            Map<String, JsonValue> shownInitially) {
        this.name = name;
        this.record = record;
        this.home = home;
        this.plugging = plugging;
        this.free = free;
        this.factory = factory;
        this.check = check;
        this.shownAs = shownAs;
        this.shownInitially = shownInitially;
    }

    /**
     * A type.
     *
     * @param name the driver's name, such as {@code e1000}
     * @param reader the {@code read} method of its options
     * @param writer the {@code write} method of its options
     * @param usual the values of what is not said; what is null in it has none
     */
    public static <O extends Record> DeviceType<O> of(
            String name,
            ValueReader<O> reader,
            ValueWriter<O> writer,
            O usual,
            Home home,
            Factory<O> factory) {
        return new DeviceType<>(
                name,
                new RecordType<>(reader, writer, usual),
                home,
                Plugging.ANY_TIME,
                Set.of(),
                factory,
                given -> {},
                Map.of(),
                Map.of());
    }

    /**
     * The type with the usual values of the options that its own specialise, where it has none of its own.
     *
     * @param baseWriter the {@code write} method of those options
     */
    public <B extends Record> DeviceType<O> over(B base, ValueWriter<B> baseWriter) {
        return new DeviceType<>(
                name,
                record.over(base, baseWriter),
                home,
                plugging,
                free,
                factory,
                check,
                shownAs,
                shownInitially);
    }

    /** The type with a check of single values. */
    public DeviceType<O> checked(Check<O> how) {
        return new DeviceType<>(
                name, record, home, plugging, free, factory, how, shownAs, shownInitially);
    }

    /** The type for other times than any. */
    public DeviceType<O> plugged(Plugging when) {
        return new DeviceType<>(
                name, record, home, when, free, factory, check, shownAs, shownInitially);
    }

    /**
     * The type for parts of the board alone.
     *
     * @param changeable the properties that {@code -global} may set
     */
    public DeviceType<O> builtIn(String... changeable) {
        return new DeviceType<>(
                name,
                record,
                home,
                Plugging.BUILT_IN,
                Set.of(changeable),
                factory,
                check,
                shownAs,
                shownInitially);
    }

    /** The type with another name for the values of an option than the schema's, and what it shows of none. */
    public DeviceType<O> shownAs(String property, String type, JsonValue none) {
        return new DeviceType<>(
                name,
                record,
                home,
                plugging,
                free,
                factory,
                check,
                Map.of(property, type),
                Map.of(property, none));
    }

    /** The driver's name. */
    public String name() {
        return name;
    }

    /** What device-list-properties answers. */
    public List<ObjectPropertyInfo> describe() {
        JsonObject values = record.toJson(record.usual());
        Map<String, String> texts = record.documentation();
        return record.members().stream()
                .map(
                        m ->
                                new ObjectPropertyInfo(
                                        m.name(),
                                        shown(m),
                                        describe(texts.get(m.name())),
                                        m.type().equals("str")
                                                ? null
                                                : shownInitially.getOrDefault(
                                                        m.name(), values.get(m.name()))))
                .toList();
    }

    /** The schema's text without the default, which is told by itself. */
    private static @Nullable String describe(@Nullable String text) {
        return text == null ? null : text.replaceFirst("(; default| \\(default)\\b.*", "");
    }

    private String shown(MemberOutline member) {
        return shownAs.getOrDefault(member.name(), member.type());
    }

    /** Options with the usual value of what they leave out. */
    public O complete(O given) {
        return record.complete(given);
    }

    /**
     * What a device is to be told.
     *
     * @param given the user's members without driver, id and bus
     * @param typed whether they are typed JSON; else each is text
     * @param globals the texts of {@code -global} for this type
     * @throws DeviceException in QEMU's words
     */
    public O options(JsonObject given, boolean typed, Map<String, String> globals)
            throws DeviceException {
        JsonObject all = new JsonObject();
        for (Map.Entry<String, String> global : globals.entrySet()) {
            JsonObject one = new JsonObject();
            one.put(global.getKey(), new JsonString(global.getValue()));
            try {
                lay(read(one, KeyvalInputVisitor.Style.PROPERTY), all);
            } catch (DeviceException e) {
                throw new DeviceException(
                        "can't apply global %s.%s=%s: %s"
                                .formatted(
                                        name, global.getKey(), global.getValue(), e.getMessage()),
                        e);
            }
        }
        lay(read(given, typed ? null : KeyvalInputVisitor.Style.KEYVAL), all);
        try {
            return record.complete(record.read(all, null));
        } catch (QmpException e) {
            throw new DeviceException(e.description(), e);
        }
    }

    /**
     * What a part of the board is to be told.
     *
     * @param told the board's own texts, which no {@code -global} overrules
     * @throws DeviceException in QEMU's words, or that the board does not offer what a global asks for
     */
    public O onBoard(JsonObject told, Map<String, String> globals) throws DeviceException {
        O options = options(told, false, globals);
        if (plugging != Plugging.BUILT_IN) {
            return options;
        }
        JsonObject here = record.toJson(options);
        JsonObject usual = record.toJson(options(told, false, Map.of()));
        for (Map.Entry<String, String> global : globals.entrySet()) {
            String property = global.getKey();
            if (!free.contains(property) && !said(here, property).equals(said(usual, property))) {
                throw new DeviceException(
                        "can't apply global %s.%s=%s: the board does not offer that"
                                .formatted(name, property, global.getValue()));
            }
        }
        return options;
    }

    /** The value of a member; one that is left out is an empty text to users. */
    private static JsonValue said(JsonObject options, String property) {
        JsonValue value = options.get(property);
        return value == null ? new JsonString("") : value;
    }

    void requireUsual(O options, String... properties) throws DeviceException {
        JsonObject here = record.toJson(options);
        JsonObject usual = record.toJson(record.usual());
        for (String property : properties) {
            JsonValue value = here.get(property);
            if (!Objects.equals(value, usual.get(property))) {
                String what =
                        value instanceof JsonBoolean(boolean on)
                                ? "cannot be switched " + (on ? "on" : "off")
                                : "cannot be changed: that is not offered";
                throw new DeviceException("Property '" + name + "." + property + "' " + what);
            }
        }
    }

    private O read(JsonObject given, KeyvalInputVisitor.@Nullable Style style)
            throws DeviceException {
        Set<String> known =
                record.members().stream().map(MemberOutline::name).collect(Collectors.toSet());
        for (Map.Entry<String, JsonValue> member : given.inWireOrder()) {
            String property = name + "." + member.getKey();
            if (OF_ALL.contains(member.getKey())) {
                throw new DeviceException("Property '" + property + "' is not writable");
            }
            if (!known.contains(member.getKey())) {
                throw new DeviceException("Property '" + property + "' not found");
            }
        }
        try {
            O options = record.read(given, style);
            check.check(options);
            return options;
        } catch (QmpException e) {
            throw new DeviceException(e.description(), e);
        }
    }

    private void lay(O over, JsonObject under) {
        RecordType.lay(record.toJson(over), under);
    }

    /** Where devices of this type go. */
    public Home home() {
        return home;
    }

    /** When users may add and take out devices of this type. */
    public Plugging plugging() {
        return plugging;
    }

    /**
     * Makes a device and shows it and its buses in the object tree, until the scope is closed; this closes it when the
     * device cannot be made.
     */
    public Device realize(DeviceRequest<O> request, DeviceScope scope, ObjectTree tree)
            throws DeviceException {
        try {
            Device device = factory.create(request, scope);
            List<QomProperty> shown = new ArrayList<>(properties(request, device));
            shown.add(tree.busLink(request.bus()));
            scope.show(tree, request.path(), name, shown, device::notes);
            for (Device.Bus bus : device.buses()) {
                String path = request.path() + "/" + bus.name();
                tree.add(path, bus.type(), bus.properties(path));
            }
            return device;
        } catch (GuestMemoryException e) {
            scope.close();
            throw new DeviceException(String.valueOf(e.getMessage()), e);
        } catch (DeviceException | RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** What every device shows of its life. */
    public static List<QomProperty> state(boolean hotplugged, boolean hotpluggable) {
        return List.of(
                QomProperty.of("realized", "bool", () -> true),
                QomProperty.of("hotplugged", "bool", () -> hotplugged),
                QomProperty.of("hotpluggable", "bool", () -> hotpluggable));
    }

    /**
     * The properties of a device: what the device itself shows, and else what it was told, which stays as
     * it is.
     */
    private List<QomProperty> properties(DeviceRequest<O> request, Device device) {
        List<QomProperty> all =
                new ArrayList<>(
                        state(request.hotplugged(), home.hot && plugging == Plugging.ANY_TIME));
        List<QomProperty> own = new ArrayList<>(device.properties());
        JsonObject told = record.toJson(request.options());
        for (MemberOutline member : record.members()) {
            QomProperty shown =
                    own.stream()
                            .filter(p -> p.name().equals(member.name()))
                            .findFirst()
                            .orElse(null);
            JsonValue value = told.get(member.name());
            if (shown == null && value == null && !member.type().equals("str")) {
                continue;
            }
            Supplier<? extends Object> shows =
                    shown != null
                            ? shown.reader()
                            : () -> value == null ? new JsonString("") : value;
            QomProperty.Writer set = shown == null ? null : shown.writer();
            all.add(
                    set != null
                            ? new QomProperty(member.name(), shown(member), shows, set)
                            : QomProperty.fixed(
                                    member.name(), shown(member), shows, name, request.id()));
            if (shown != null) {
                own.remove(shown);
            }
        }
        all.addAll(own);
        return all;
    }
}
