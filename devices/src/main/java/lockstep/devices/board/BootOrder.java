package lockstep.devices.board;

import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceScope;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Which devices the firmware tries and in what order, by their {@code bootindex}, and how it shows disks. Under the
 * machine lock.
 */
public final class BootOrder {
    /** The index of a device that is not tried. */
    private static final int NONE = -1;

    private final SortedMap<Integer, String> paths = new TreeMap<>();

    /** What was said of devices that are not tried, where it is not the usual. */
    private final Map<String, Integer> untried = new HashMap<>();

    private final Map<String, String> geometries = new LinkedHashMap<>();
    private boolean changed;

    /** Of nothing yet. */
    public BootOrder() {}

    /**
     * Looks before a device is made.
     *
     * @throws DeviceException when the index is taken
     */
    public void check(int index) throws DeviceException {
        if (paths.containsKey(index)) {
            throw new DeviceException("The bootindex " + index + " has already been used");
        }
    }

    /**
     * Gives a device its place.
     *
     * @param path the firmware's name for the device, such as {@code /pci@i0cf8/ethernet@3}
     * @param index unique; a negative one: none
     * @throws DeviceException when the index is taken
     */
    public void set(String path, int index) throws DeviceException {
        if (path.equals(paths.get(index))) {
            return;
        }
        check(index);
        paths.values().remove(path);
        untried.remove(path);
        if (index >= 0) {
            paths.put(index, path);
        } else if (index != NONE) {
            untried.put(path, index);
        }
        changed = true;
    }

    /** Gives a device its place, until the scope is closed. */
    public void set(String path, int index, DeviceScope scope) throws DeviceException {
        set(path, index);
        scope.onClose(
                () -> {
                    changed |= paths.values().remove(path);
                    untried.remove(path);
                });
    }

    /** The property {@code bootindex} of a device: what is set counts from the next reset on. */
    public QomProperty property(String path) {
        return property("bootindex", path);
    }

    /** The same by another name. */
    public QomProperty property(String name, String path) {
        return QomProperty.of(
                name,
                QomKind.INT32,
                () -> index(path),
                index -> {
                    try {
                        set(path, index);
                    } catch (DeviceException e) {
                        throw new QmpException(String.valueOf(e.getMessage()));
                    }
                });
    }

    private int index(String path) {
        return paths.entrySet().stream()
                .filter(e -> e.getValue().equals(path))
                .findFirst()
                .map(e -> e.getKey())
                .orElseGet(() -> untried.getOrDefault(path, NONE));
    }

    /** All paths, the first to be tried first. */
    public List<String> paths() {
        return List.copyOf(paths.values());
    }

    /** Says which geometry the firmware is to show of a disk, until the scope is closed; all zeroes for its own choice. */
    public void geometry(String path, long cylinders, long heads, long sectors, DeviceScope scope) {
        if ((cylinders | heads | sectors) != 0) {
            geometries.put(path, path + ' ' + cylinders + ' ' + heads + ' ' + sectors);
            scope.onClose(() -> changed |= geometries.remove(path) != null);
        }
    }

    /** The geometries, in the order in which their disks were made: path, cylinders, heads and sectors each. */
    public List<String> geometries() {
        return List.copyOf(geometries.values());
    }

    /** Whether there was a change since the last call. */
    public boolean takeChanged() {
        boolean was = changed;
        changed = false;
        return was;
    }
}
