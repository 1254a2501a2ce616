package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import lockstep.api.ObjectPropertyInfo;
import lockstep.devices.usb.UsbBuses;
import lockstep.devices.vga.VgaDevices;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** Every property of every device that users can add: what it takes, what it refuses and how, what it shows. */
final class DeviceTypesTest {
    static List<DeviceType<?>> types() {
        return PluggableDevices.TYPES;
    }

    /** Those that need neither a network nor a disk. */
    static List<DeviceType<?>> simple() {
        return types().stream()
                .filter(t -> !t.name().startsWith("ide-"))
                .filter(t -> !Set.of("e1000", "floppy").contains(t.name()))
                .toList();
    }

    private static String kind(ObjectPropertyInfo p) {
        return p.name().equals("addr") ? "str" : p.type();
    }

    /** A text of a value that is not the usual one. */
    private static String good(ObjectPropertyInfo p) {
        return switch (p.name()) {
            case "addr" -> "1f.7";
            case "mac" -> "52:54:00:00:00:01";
            case "romsize" -> "0x10000";
            case "logical_block_size", "physical_block_size" -> "4k";
            default ->
                    switch (kind(p)) {
                        case "str" -> "text";
                        case "bool" -> "off";
                        case "size" -> "1M";
                        case "OnOffAuto" -> "on";
                        case "BlockdevOnError" -> "stop";
                        case "BiosAtaTranslation" -> "lba";
                        case "FdcDriveType" -> "144";
                        case "uint8", "uint16", "uint32", "uint64", "int32" -> "3";
                        default -> fail(p.toString());
                    };
        };
    }

    /** Texts that are no values of a kind, and what is said of them after {@code Parameter 'x' }. */
    private static Map<String, String> bad(String kind) {
        return switch (kind) {
            case "str" -> Map.of();
            case "bool" -> Map.of("maybe", "expects 'on' or 'off'", "1", "expects 'on' or 'off'");
            case "size" -> Map.of("x", "expects size", "-1", "expects size", "16E", "expects size");
            case "uint8" -> Map.of("x", "expects integer", "256", "expects uint8_t");
            case "uint16" -> Map.of("x", "expects integer", "65536", "expects uint16_t");
            case "uint32" ->
                    Map.of(
                            "x",
                            "expects integer",
                            "4294967296",
                            "expects uint32_t",
                            "-1",
                            "expects uint32_t",
                            "",
                            "expects integer");
            case "uint64" -> Map.of("1.5", "expects integer", "1k", "expects integer");
            case "int32" -> Map.of("x", "expects integer", "2147483648", "expects int32_t");
            default -> Map.of("foo", "does not accept value 'foo'");
        };
    }

    private static JsonObject one(String name, JsonValue value) {
        return new JsonObject().put(name, value);
    }

    private static <O extends Record> O read(DeviceType<O> type, JsonObject given, boolean typed)
            throws DeviceException {
        return type.options(given, typed, Map.of());
    }

    private static void refused(
            String message, DeviceType<?> type, JsonObject given, boolean typed) {
        DeviceException e =
                assertThrows(DeviceException.class, () -> read(type, given, typed), message);
        assertEquals(message, e.getMessage());
    }

    @ParameterizedTest
    @MethodSource("types")
    void theUsualValueCanBeGiven(DeviceType<?> type) throws DeviceException {
        Object usual = read(type, new JsonObject(), false);
        for (ObjectPropertyInfo p : type.describe()) {
            JsonValue value = p.defaultValue();
            if (value != null && !p.name().equals("addr")) {
                assertEquals(usual, read(type, one(p.name(), value), true), p.name());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("types")
    void valuesOfTheRightKindAreTaken(DeviceType<?> type) throws DeviceException {
        Object usual = read(type, new JsonObject(), false);
        for (ObjectPropertyInfo p : type.describe()) {
            if (p.defaultValue() instanceof JsonValue v && v.toString().equals("false")) {
                continue;
            }
            JsonObject given = one(p.name(), new JsonString(good(p)));
            Object options = read(type, given, false);
            assertTrue(!usual.equals(options), p.name() + " is lost");
            assertEquals(options, type.options(new JsonObject(), false, Map.of(p.name(), good(p))));
        }
    }

    @ParameterizedTest
    @MethodSource("types")
    void othersAreRefused(DeviceType<?> type) {
        for (ObjectPropertyInfo p : type.describe()) {
            bad(kind(p))
                    .forEach(
                            (text, says) -> {
                                String message = "Parameter '" + p.name() + "' " + says;
                                JsonObject given = one(p.name(), new JsonString(text));
                                refused(message, type, given, false);
                                Map<String, String> global = Map.of(p.name(), text);
                                DeviceException e =
                                        assertThrows(
                                                DeviceException.class,
                                                () ->
                                                        type.options(
                                                                new JsonObject(), false, global));
                                String start =
                                        "can't apply global %s.%s=%s: Parameter '%s' "
                                                .formatted(type.name(), p.name(), text, p.name());
                                assertTrue(
                                        String.valueOf(e.getMessage()).startsWith(start),
                                        e.getMessage());
                            });
            boolean unsigned = kind(p).startsWith("uint") || kind(p).equals("size");
            refused(
                    unsigned
                            ? "Parameter '" + p.name() + "' expects uint64"
                            : "Invalid parameter type for '%s', expected%s"
                                    .formatted(
                                            p.name(),
                                            p.name().equals("addr")
                                                    ? " int or str"
                                                    : ": " + json(kind(p))),
                    type,
                    one(p.name(), new JsonArray()),
                    true);
        }
        refused(
                "Property '" + type.name() + ".bogus' not found",
                type,
                one("bogus", new JsonString("1")),
                false);
        refused(
                "Property '" + type.name() + ".hotplugged' is not writable",
                type,
                one("hotplugged", new JsonString("on")),
                false);
    }

    private static String json(String kind) {
        return switch (kind) {
            case "bool" -> "boolean";
            case "int32" -> "integer";
            default -> "string";
        };
    }

    @ParameterizedTest
    @MethodSource("simple")
    void whatWasToldIsShownAndStays(DeviceType<?> type) throws Exception {
        TestMachine core = new TestMachine(16 << 20);
        PcSectionsTest.board(core);
        core.vmm().publish(UsbBuses.class, new UsbBuses());
        shownAndStays(UsbBuses.CONTROLLER, core);
        core.vmm().paper("c0");
        shownAndStays(type, core);
    }

    private static <O extends Record> void shownAndStays(DeviceType<O> type, TestMachine core)
            throws Exception {
        JsonObject given = new JsonObject();
        if (type.describe().stream().anyMatch(p -> p.name().equals("chardev"))) {
            given.put("chardev", "c0");
        }
        ObjectTree tree = core.vmm().objects();
        DeviceRequest<O> request =
                new DeviceRequest<>(
                        type,
                        "d",
                        tree.nextUnattached(),
                        Objects.requireNonNull(type.home().placement().bus(core.core())),
                        false,
                        read(type, given, false));
        type.realize(request, new DeviceScope(core.core()), tree);
        List<QomProperty> shown = Objects.requireNonNull(tree.find(request.path())).properties();
        for (ObjectPropertyInfo p : type.describe()) {
            QomProperty one =
                    shown.stream().filter(s -> s.name().equals(p.name())).findFirst().orElseThrow();
            assertEquals(p.type(), one.type(), p.name());
            Object value = one.reader().get();
            if (p.defaultValue() != null && value instanceof JsonValue) {
                assertEquals(p.defaultValue(), value, p.name());
            }
            QomProperty.Writer writer = assertInstanceOf(QomProperty.Writer.class, one.writer());
            QmpException e =
                    assertThrows(QmpException.class, () -> writer.set(JsonNumber.of(1)), p.name());
            assertEquals(
                    "Attempt to set property '%s' on device 'd' (type '%s') after it was realized"
                            .formatted(p.name(), type.name()),
                    e.description());
        }
    }

    @Test
    void aSlotSaysThatItHasSeveralFunctions() throws Exception {
        TestMachine core = new TestMachine(16 << 20);
        PcSectionsTest.board(core);
        vga(core, "addr=5.0");
        refused(
                "PCI: single function device can't be populated in function 5.1",
                () -> vga(core, "addr=5.1"));
        vga(core, "addr=6.1");
        refused(
                "PCI: 6.0 indicates single function, but 6.1 is already populated.",
                () -> vga(core, "addr=6"));
        vga(core, "addr=6,multifunction=on");
        refused("ROM size 3 is not a power of two", () -> vga(core, "romsize=3"));
    }

    private static void vga(TestMachine core, String options) throws DeviceException {
        JsonObject given = new JsonObject();
        for (String option : options.split(",", -1)) {
            String[] parts = option.split("=", 2);
            given.put(parts[0], parts[1]);
        }
        VgaDevices.TYPE.realize(
                new DeviceRequest<>(
                        VgaDevices.TYPE,
                        null,
                        "/" + options,
                        "pci.0",
                        false,
                        read(VgaDevices.TYPE, given, false)),
                new DeviceScope(core.core()),
                core.vmm().objects());
    }

    private interface Refused {
        void make() throws Exception;
    }

    private static void refused(String message, Refused refused) {
        assertEquals(message, assertThrows(DeviceException.class, refused::make).getMessage());
    }

    /** Each of the cards on a bus of its own. */
    private static void made(DeviceType<?> type, String property, JsonValue value)
            throws Exception {
        TestMachine core = new TestMachine(16 << 20);
        PcSectionsTest.board(core);
        core.vmm().publish(UsbBuses.class, new UsbBuses());
        shownAndStays(UsbBuses.CONTROLLER, core);
        makeOne(type, core, one(property, value));
    }

    private static <O extends Record> void makeOne(
            DeviceType<O> type, TestMachine core, JsonObject given) throws DeviceException {
        String bus = Objects.requireNonNull(type.home().placement().bus(core.core()));
        O options = read(type, given, true);
        type.realize(
                new DeviceRequest<>(type, "e", "/e", bus, false, options),
                new DeviceScope(core.core()),
                core.vmm().objects());
    }

    @ParameterizedTest
    @MethodSource("simple")
    void everyCardCanHaveAnOptionRom(DeviceType<?> type) {
        if (type.home().type().equals("PCI")) {
            JsonValue none = new JsonString("none.rom");
            refused("failed to find romfile \"none.rom\"", () -> made(type, "romfile", none));
            refused(
                    "ROM size 3 is not a power of two",
                    () -> made(type, "romsize", JsonNumber.of(3)));
        }
    }

    @Test
    void whatIsOnlyThereForOthersIsRefused() {
        String why = "' cannot be changed: that is not offered";
        Map.of(
                        "piix3-usb-uhci.bandwidth", JsonNumber.of(5),
                        "piix3-usb-uhci.maxframes", JsonNumber.of(5),
                        "usb-mouse.pcap", new JsonString("x"),
                        "usb-kbd.display", new JsonString("x"),
                        "usb-tablet.head", JsonNumber.of(1))
                .forEach(
                        (property, value) -> {
                            String[] words = property.split("\\.", 2);
                            DeviceType<?> type =
                                    types().stream()
                                            .filter(t -> t.name().equals(words[0]))
                                            .findFirst()
                                            .orElseThrow();
                            refused(
                                    "Property '" + property + why,
                                    () -> made(type, words[1], value));
                        });
    }

    @Test
    void whatIsSaidIsNotOverruledByAGlobal() throws DeviceException {
        DeviceType<?> type =
                types().stream().filter(t -> t.name().equals("VGA")).findFirst().orElseThrow();
        JsonObject given = new JsonObject().put("vgamem_mb", "32");
        assertEquals(
                read(type, given, false), type.options(given, false, Map.of("vgamem_mb", "64")));
        assertEquals(
                read(type, new JsonObject().put("vgamem_mb", "64"), false),
                type.options(new JsonObject(), false, Map.of("vgamem_mb", "64")));
    }
}
