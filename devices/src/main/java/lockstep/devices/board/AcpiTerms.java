package lockstep.devices.board;

import lockstep.runtime.spi.DeviceScope;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/** What devices say of themselves in ACPI machine language, in the order in which they were made. Under the machine lock. */
public final class AcpiTerms {
    private final List<Supplier<byte[]>> isa = new ArrayList<>();
    private final List<Supplier<byte[]>> system = new ArrayList<>();

    /** Of no device yet. */
    public AcpiTerms() {}

    /** Adds a device behind the ISA bridge, until the scope is closed. */
    public void addIsa(byte[] terms, DeviceScope scope) {
        addIsa(() -> terms, scope);
    }

    /** Adds a device behind the ISA bridge that knows only later what there is to say. */
    public void addIsa(Supplier<byte[]> terms, DeviceScope scope) {
        add(isa, terms, scope);
    }

    /** Adds a device of the system bus likewise. */
    public void addSystem(byte[] terms, DeviceScope scope) {
        add(system, () -> terms, scope);
    }

    private static void add(
            List<Supplier<byte[]>> list, Supplier<byte[]> terms, DeviceScope scope) {
        list.add(terms);
        scope.onClose(() -> list.remove(terms));
    }

    /** The devices behind the ISA bridge. */
    public byte[] isa() {
        return joined(isa);
    }

    /** The devices of the system bus. */
    public byte[] system() {
        return joined(system);
    }

    private static byte[] joined(List<Supplier<byte[]>> list) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        list.forEach(terms -> out.writeBytes(terms.get()));
        return out.toByteArray();
    }
}
