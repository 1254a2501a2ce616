package lockstep.runtime.command;

import lockstep.api.CpuDefinitionInfo;
import lockstep.api.CpuModelExpansionInfo;
import lockstep.api.CpuModelExpansionType;
import lockstep.api.CpuModelInfo;
import lockstep.api.ObjectPropertyInfo;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.spi.Vmm;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What query-cpu-definitions and query-cpu-model-expansion tell, also without a machine. */
final class CpuModels {
    private CpuModels() {}

    /** What the accelerator can give, or the first that is there; empty without any. */
    private static List<CpuidLeaf> supported(Vmm vmm) {
        Accelerator chosen = vmm.accelerator();
        if (chosen != null) {
            return chosen.supportedCpuid();
        }
        for (AcceleratorType type : vmm.acceleratorTypes()) {
            if (!type.automatic()) {
                continue;
            }
            try {
                return type.supportedCpuid();
            } catch (AcceleratorException e) {
                continue;
            }
        }
        return List.of();
    }

    /** The properties of every model. */
    static List<ObjectPropertyInfo> properties() {
        return CpuModel.properties().stream()
                .map(name -> new ObjectPropertyInfo(name, "bool", null, null))
                .toList();
    }

    static List<CpuDefinitionInfo> definitions(Vmm vmm) {
        List<CpuidLeaf> supported = supported(vmm);
        List<CpuDefinitionInfo> list = new ArrayList<>();
        for (String name : CpuModel.NAMES) {
            list.add(
                    CpuDefinitionInfo.builder()
                            .name(name)
                            .typename(CpuModel.typeName(name))
                            .migrationSafe(
                                    name.equals(CpuModel.BASE) || name.equals(CpuModel.DEFAULT))
                            .static_(name.equals(CpuModel.BASE))
                            .unavailableFeatures(CpuModel.unavailable(name, supported))
                            .deprecated(false)
                            .build());
        }
        return list;
    }

    static CpuModelExpansionInfo expand(Vmm vmm, CpuModelExpansionType type, CpuModelInfo wanted)
            throws QmpException {
        if (!CpuModel.NAMES.contains(wanted.name())) {
            throw new QmpException("CPU model '" + wanted.name() + "' not found");
        }
        List<CpuidLeaf> supported = supported(vmm);
        CpuModel model;
        try {
            model = CpuModel.parse(text(wanted), supported, "", new ArrayList<>());
        } catch (IllegalArgumentException e) {
            // Behind it, why a property is refused, without what is said of -cpu.
            Throwable why = e.getCause() == null ? e : e.getCause();
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(why.getMessage()), e);
        }
        JsonObject properties = new JsonObject();
        model.features().forEach((name, on) -> properties.put(name, new JsonBoolean(on)));
        String name = type == CpuModelExpansionType.STATIC ? CpuModel.BASE : wanted.name();
        return new CpuModelExpansionInfo(new CpuModelInfo(name, properties), List.of());
    }

    /** The text of {@code -cpu} that asks for the same. */
    private static String text(CpuModelInfo model) throws QmpException {
        StringBuilder text = new StringBuilder(model.name());
        JsonValue given = model.props();
        if (given == null) {
            return model.name();
        }
        if (!(given instanceof JsonObject properties)) {
            throw new QmpException("Invalid parameter type for 'model.props', expected: object");
        }
        for (Map.Entry<String, JsonValue> e : properties.members().entrySet()) {
            String value =
                    switch (e.getValue()) {
                        case JsonBoolean b -> b.value() ? "on" : "off";
                        case JsonString s -> s.value();
                        default ->
                                throw new QmpException(
                                        "Invalid parameter type for '"
                                                + e.getKey()
                                                + "', expected: boolean");
                    };
            text.append(',').append(e.getKey()).append('=').append(value);
        }
        return text.toString();
    }
}
