package lockstep.runtime.spi;

import lockstep.runtime.object.QomProperty;

import java.util.List;
import java.util.function.UnaryOperator;

/** One device of a machine, made by a {@link DeviceType}. Used under the machine lock. */
public interface Device {
    /**
     * A bus that the device has.
     *
     * @param name what users call it, such as {@code usb-bus.0}; a part of its path in the object tree
     * @param type such as {@code usb-bus}
     * @param handler gives, for the path of the bus, that of what plugs and unplugs its devices, or the empty text
     */
    record Bus(String name, String type, UnaryOperator<String> handler) {
        /** A bus whose devices neither come nor go. */
        public Bus(String name, String type) {
            this(name, type, path -> "");
        }

        /** What qom-list shows of it at a path. */
        public List<QomProperty> properties(String path) {
            return List.of(
                    QomProperty.of("realized", "bool", () -> true),
                    QomProperty.of(
                            "hotplug-handler", "link<hotplug-handler>", () -> handler.apply(path)));
        }
    }

    /** What qom-list, qom-get and info qtree show, in the order of declaration. */
    default List<QomProperty> properties() {
        return List.of();
    }

    /** What info qtree says beside the properties, in lines. */
    default String notes() {
        return "";
    }

    /** The buses of the device. */
    default List<Bus> buses() {
        return List.of();
    }

    /** Tells the guest that the device has come while the machine is running. */
    default void announce() {}

    /**
     * Takes the device out of a running machine, by closing its scope, or asks the guest to let it go. Only of
     * types that can be plugged at {@link DeviceType.Plugging#ANY_TIME any time}.
     *
     * @return 0 if the device is gone, or how many nanoseconds of its time the guest has, before users may ask
     *     again
     */
    default long unplug(DeviceScope scope) {
        scope.close();
        return 0;
    }
}
