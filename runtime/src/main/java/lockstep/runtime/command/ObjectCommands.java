package lockstep.runtime.command;

import lockstep.api.DeviceDelArguments;
import lockstep.api.DeviceListPropertiesArguments;
import lockstep.api.ObjectDelArguments;
import lockstep.api.ObjectOptions;
import lockstep.api.ObjectPropertiesValues;
import lockstep.api.ObjectPropertyInfo;
import lockstep.api.ObjectPropertyValue;
import lockstep.api.ObjectTypeInfo;
import lockstep.api.QdevCommands;
import lockstep.api.QomCommands;
import lockstep.api.QomGetArguments;
import lockstep.api.QomListArguments;
import lockstep.api.QomListGetArguments;
import lockstep.api.QomListPropertiesArguments;
import lockstep.api.QomListTypesArguments;
import lockstep.api.QomSetArguments;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.machine.MachineProperties;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.RecordType;
import lockstep.runtime.process.VmmProcess;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.MachineType;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** qom.json and qdev.json. */
final class ObjectCommands implements QomCommands, QdevCommands {
    /** What every device has. */
    private static final List<ObjectPropertyInfo> EVERY_DEVICE =
            List.of(
                    property("realized", "bool"),
                    property("hotplugged", "bool"),
                    property("hotpluggable", "bool"),
                    property("parent_bus", "link<bus>"));

    private final VmmProcess vmm;
    private final ObjectTypes types;

    ObjectCommands(VmmProcess vmm) {
        this.vmm = vmm;
        this.types = new ObjectTypes(vmm);
        vmm.devices().refusal(types::whyNotPluggable);
        vmm.devices().kinship(types::isA);
    }

    private ObjectTree.Node node(String path) throws QmpException {
        ObjectTree.Node node = vmm.objects().find(path);
        if (node == null) {
            throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + path + "' not found");
        }
        return node;
    }

    @Override
    public List<ObjectPropertyInfo> qomList(QomListArguments arguments) throws QmpException {
        ObjectTree.Node node = node(arguments.path());
        List<ObjectPropertyInfo> list = new ArrayList<>();
        list.add(property("type", "string"));
        for (QomProperty p : node.properties()) {
            list.add(property(p.name(), p.type()));
        }
        for (ObjectTree.Node child : node.children()) {
            list.add(property(child.name(), "child<" + child.type() + ">"));
        }
        return list;
    }

    @Override
    public List<ObjectPropertiesValues> qomListGet(QomListGetArguments arguments)
            throws QmpException {
        List<ObjectPropertiesValues> list = new ArrayList<>();
        for (String path : arguments.paths()) {
            ObjectTree.Node node = node(path);
            List<ObjectPropertyValue> values = new ArrayList<>();
            values.add(new ObjectPropertyValue("type", "string", new JsonString(node.type())));
            for (QomProperty p : node.properties()) {
                values.add(new ObjectPropertyValue(p.name(), p.type(), json(p.reader().get())));
            }
            for (ObjectTree.Node child : node.children()) {
                values.add(
                        new ObjectPropertyValue(
                                child.name(),
                                "child<" + child.type() + ">",
                                new JsonString(child.path())));
            }
            list.add(new ObjectPropertiesValues(values));
        }
        return list;
    }

    private static ObjectPropertyInfo property(String name, String type) {
        return new ObjectPropertyInfo(name, type, null, null);
    }

    private static QmpException noProperty(ObjectTree.Node node, String name) {
        return new QmpException("Property '" + node.type() + "." + name + "' not found");
    }

    @Override
    public JsonValue qomGet(QomGetArguments arguments) throws QmpException {
        ObjectTree.Node node = node(arguments.path());
        String name = arguments.property();
        if (name.equals("type")) {
            return new JsonString(node.type());
        }
        for (QomProperty p : node.properties()) {
            if (p.name().equals(name)) {
                return json(p.reader().get());
            }
        }
        for (ObjectTree.Node child : node.children()) {
            if (child.name().equals(name)) {
                return new JsonString(child.path());
            }
        }
        throw noProperty(node, name);
    }

    @Override
    public void qomSet(QomSetArguments arguments) throws QmpException {
        ObjectTree.Node node = node(arguments.path());
        String name = arguments.property();
        for (QomProperty p : node.properties()) {
            if (p.name().equals(name)) {
                QomProperty.Writer writer = p.writer();
                if (writer == null) {
                    throw notWritable(node, name);
                }
                writer.set(arguments.value());
                return;
            }
        }
        boolean child = node.children().stream().anyMatch(c -> c.name().equals(name));
        throw child || name.equals("type") ? notWritable(node, name) : noProperty(node, name);
    }

    private static QmpException notWritable(ObjectTree.Node node, String name) {
        return new QmpException("Property '" + node.type() + "." + name + "' is not writable");
    }

    /** The JSON of a property's value. */
    static JsonValue json(Object value) {
        return switch (value) {
            case JsonValue j -> j;
            case String s -> new JsonString(s);
            case Boolean b -> new JsonBoolean(b);
            case Double d -> JsonNumber.of(d);
            case Number n -> JsonNumber.of(n.longValue());
            case List<?> list -> {
                JsonArray array = new JsonArray();
                list.forEach(e -> array.add(json(e)));
                yield array;
            }
            case Map<?, ?> map -> {
                JsonObject object = new JsonObject();
                map.forEach((k, v) -> object.put(String.valueOf(k), json(v)));
                yield object;
            }
            default -> new JsonString(String.valueOf(value));
        };
    }

    @Override
    public List<ObjectTypeInfo> qomListTypes(QomListTypesArguments arguments) {
        return types.list(arguments.implements_(), Boolean.TRUE.equals(arguments.abstract_()));
    }

    @Override
    public List<ObjectPropertyInfo> qomListProperties(QomListPropertiesArguments arguments)
            throws QmpException {
        String type = arguments.typename();
        if (!types.exists(type)) {
            throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Class '" + type + "' not found");
        }
        List<ObjectPropertyInfo> list = new ArrayList<>();
        list.add(property("type", "string"));
        QomType<?> declared = types.declared(type);
        if (declared != null) {
            list.addAll(declared.describe());
        } else if (types.isA(type, "machine")) {
            list.addAll(ofMachine(type));
        } else if (types.isA(type, "device")) {
            list.addAll(EVERY_DEVICE);
            list.addAll(types.isA(type, "x86_64-cpu") ? CpuModels.properties() : common(type));
        } else if (types.isA(type, "accel")) {
            list.addAll(types.ofAccelerator(type));
        } else if (types.isA(type, "bus") && !type.equals("bus")) {
            list.add(property("realized", "bool"));
            list.add(property("hotplug-handler", "link<hotplug-handler>"));
        }
        return list;
    }

    /** What all devices that are of a type, or of one that specialises it, can be told. */
    private List<ObjectPropertyInfo> common(String type) {
        List<ObjectPropertyInfo> common = null;
        for (ObjectTypeInfo concrete : types.list(type, false)) {
            List<ObjectPropertyInfo> of = vmm.devices().properties(concrete.name());
            if (common == null) {
                common = new ArrayList<>(of);
            } else {
                Set<String> names =
                        of.stream().map(ObjectPropertyInfo::name).collect(Collectors.toSet());
                common.removeIf(p -> !names.contains(p.name()));
            }
        }
        return common == null ? List.of() : types.own(type, common, this::common);
    }

    private List<ObjectPropertyInfo> ofMachine(String type) {
        return types.own(type, MachineProperties.describe(machineOptions(type)), this::ofMachine);
    }

    /** Of a type of machines, or of one that all boards of a kind specialise. */
    private RecordType<?> machineOptions(String type) {
        for (MachineType<?> board : vmm.machineTypes()) {
            if (!type.equals("machine") && types.isA(board.name() + "-machine", type)) {
                return board.options();
            }
        }
        return MachineProperties.COMMON;
    }

    @Override
    public List<ObjectPropertyInfo> deviceListProperties(DeviceListPropertiesArguments arguments)
            throws QmpException {
        String type = arguments.typename();
        if (type.endsWith(CpuModel.TYPE_SUFFIX) && types.exists(type)) {
            return CpuModels.properties();
        }
        if (types.isDevice(type)) {
            return vmm.devices().properties(type);
        }
        if (types.exists(type)) {
            throw new QmpException("Parameter 'typename' expects a non-abstract device type");
        }
        throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + type + "' not found");
    }

    @Override
    public void objectAdd(ObjectOptions arguments) throws QmpException {
        if (!OptionText.isIdentifier(arguments.id())) {
            throw new QmpException("Parameter 'id' expects an identifier");
        }
        vmm.objects().create(arguments);
    }

    @Override
    public void objectDel(ObjectDelArguments arguments) throws QmpException {
        vmm.objects().delete(arguments.id());
    }

    @Override
    public void deviceAdd(JsonObject arguments) throws QmpException {
        if (arguments.get("id") instanceof JsonString id && !OptionText.isIdentifier(id.value())) {
            throw new QmpException("Parameter 'id' expects an identifier");
        }
        try {
            vmm.devices().plug(arguments);
        } catch (DeviceException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public void deviceDel(DeviceDelArguments arguments) throws QmpException {
        vmm.devices().remove(arguments.id());
    }
}
