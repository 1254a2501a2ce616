package lockstep.protect;

import lockstep.api.BlockDeviceInfo;
import lockstep.api.BlockDirtyInfo;
import lockstep.api.BlockInfo;
import lockstep.api.Client;
import lockstep.api.ObjectPropertyInfo;
import lockstep.api.QomGetArguments;
import lockstep.api.QomListArguments;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * The drives and network backends of a machine's guest. All of it is to be protected, or named as left out: a secondary would
 * take over without the rest.
 *
 * @param drives those with a medium that a device uses, by name
 * @param netdevs the backends that a card uses, by name
 */
record Guest(List<Drive> drives, Set<String> netdevs) {
    /** Where devices are: with an identifier, without one, and those of the board. */
    private static final List<String> DEVICES =
            List.of("/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached");

    /**
     * A medium that a device uses.
     *
     * @param id what commands call it
     * @param names all of its names
     * @param size in bytes
     * @param bitmaps of its topmost node
     */
    record Drive(
            String id,
            Set<String> names,
            boolean readOnly,
            boolean quorum,
            long size,
            List<BlockDirtyInfo> bitmaps) {}

    /** Looks at a machine. */
    static Guest of(Client machine) throws QmpException, IOException {
        List<Drive> drives = new ArrayList<>();
        for (BlockInfo drive : machine.queryBlock()) {
            BlockDeviceInfo node = drive.inserted();
            String device = drive.qdev();
            if (node == null || device == null) {
                continue;
            }
            Set<String> names = new LinkedHashSet<>();
            names.add(drive.device());
            names.add(Objects.requireNonNullElse(node.nodeName(), ""));
            names.add(device);
            names.remove("");
            List<BlockDirtyInfo> bitmaps = node.dirtyBitmaps();
            drives.add(
                    new Drive(
                            names.iterator().next(),
                            names,
                            node.ro(),
                            node.drv().equals("quorum"),
                            node.image().virtualSize(),
                            bitmaps == null ? List.of() : bitmaps));
        }
        drives.sort(Comparator.comparing(Drive::id));
        return new Guest(drives, netdevs(machine));
    }

    private static Set<String> netdevs(Client machine) throws QmpException, IOException {
        Set<String> found = new TreeSet<>();
        for (String place : DEVICES) {
            for (ObjectPropertyInfo entry : machine.qomList(new QomListArguments(place))) {
                if (!entry.type().startsWith("child<")) {
                    continue;
                }
                String device = place + "/" + entry.name();
                for (ObjectPropertyInfo property : machine.qomList(new QomListArguments(device))) {
                    if (property.name().equals("netdev")
                            && machine.qomGet(new QomGetArguments(device, "netdev"))
                                    instanceof JsonString name
                            && !name.value().isEmpty()) {
                        found.add(name.value());
                    }
                }
            }
        }
        return found;
    }

    /**
     * What is to be protected.
     *
     * @param disks in that order
     * @param netdevs in that order
     */
    record Choice(List<Drive> disks, List<String> netdevs) {}

    /**
     * Chooses what is to be protected: what the user named, or else all.
     *
     * @param leftOut names of disks and backends that the user does without
     * @throws QmpException when something is neither protected nor left out, or something that is named is not there
     */
    Choice choose(Set<String> disks, Set<String> netdevs, Set<String> leftOut) throws QmpException {
        Set<String> unknown = new LinkedHashSet<>(leftOut);
        List<String> forgotten = new ArrayList<>();
        List<Drive> chosenDisks =
                choose(
                        drives.stream().filter(d -> !d.readOnly).toList(),
                        Drive::names,
                        "disk that can be written to",
                        disks,
                        unknown,
                        forgotten);
        List<String> chosenNetdevs =
                choose(
                        List.copyOf(this.netdevs),
                        Set::of,
                        "network backend of a card",
                        netdevs,
                        unknown,
                        forgotten);
        drives.stream().filter(Drive::readOnly).forEach(d -> unknown.removeAll(d.names));
        if (!forgotten.isEmpty()) {
            throw new QmpException(
                    "the survivor's guest also has "
                            + String.join(", ", forgotten)
                            + ", which a secondary would take over without: --leave-out "
                            + String.join(",", forgotten)
                            + " does so");
        }
        if (!unknown.isEmpty()) {
            throw new QmpException(
                    "the survivor has no other disk or network backend "
                            + String.join(", ", unknown)
                            + " to be left out");
        }
        return new Choice(chosenDisks, chosenNetdevs);
    }

    /** Those of {@code all} that are wanted, in that order; all if none is named. */
    private static <T> List<T> choose(
            List<T> all,
            Function<T, Set<String>> names,
            String what,
            Set<String> wanted,
            Set<String> leftOut,
            List<String> forgotten)
            throws QmpException {
        List<T> chosen = new ArrayList<>();
        for (String name : wanted) {
            chosen.add(
                    all.stream()
                            .filter(one -> names.apply(one).contains(name))
                            .findFirst()
                            .orElseThrow(
                                    () ->
                                            new QmpException(
                                                    "the survivor has no " + what + " " + name)));
        }
        for (T one : all) {
            if (chosen.contains(one) || leftOut.removeAll(names.apply(one))) {
                continue;
            }
            if (wanted.isEmpty()) {
                chosen.add(one);
            } else {
                forgotten.add(names.apply(one).iterator().next());
            }
        }
        return chosen;
    }

    /**
     * Looks whether the guest finds its media that it only reads on another machine, too; they are not copied.
     *
     * @throws QmpException when one is missing there, or has another size
     */
    void checkMedia(Guest other, Set<String> leftOut) throws QmpException {
        for (Drive drive : drives) {
            if (!drive.readOnly || drive.names.stream().anyMatch(leftOut::contains)) {
                continue;
            }
            if (other.drives.stream()
                    .noneMatch(d -> d.names.contains(drive.id) && d.size == drive.size)) {
                throw new QmpException(
                        "the new secondary has no medium of %d bytes in %s, which the guest reads"
                                .formatted(drive.size, drive.id));
            }
        }
    }
}
