package lockstep.protect;

import lockstep.api.BlockDeviceInfo;
import lockstep.api.BlockInfo;
import lockstep.api.Client;
import lockstep.api.ObjectPropertyInfo;
import lockstep.api.QomGetArguments;
import lockstep.api.QomListArguments;
import lockstep.qmp.JsonString;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * What of a guest one disk and one network backend are not all of: its other disks that can be written to, and its other
 * network cards. A secondary would take over without what is on them.
 */
final class LeftOut {
    /** Where devices are: with an identifier, without one, and those of the board. */
    private static final List<String> DEVICES =
            List.of("/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached");

    private LeftOut() {}

    /**
     * Finds it.
     *
     * @param allowed names of disks and cards that the user does without
     * @return the names of {@code allowed}, all of which were found
     * @throws QmpException when there is a disk or card besides, or {@code allowed} names one that is not there
     */
    static Set<String> check(Client machine, String disk, String netdev, Set<String> allowed)
            throws QmpException, IOException {
        List<Set<String>> others = disks(machine, disk);
        others.addAll(cards(machine, netdev));
        Set<String> unknown = new LinkedHashSet<>(allowed);
        List<String> left = new ArrayList<>();
        for (Set<String> names : others) {
            if (!unknown.removeAll(names) && names.stream().noneMatch(allowed::contains)) {
                left.add(names.iterator().next());
            }
        }
        if (!left.isEmpty()) {
            throw new QmpException(
                    "one disk (%s) and one network backend (%s) are protected; the survivor's guest"
                                    .formatted(disk, netdev)
                            + " also has "
                            + String.join(", ", left)
                            + ", which a secondary would take over without: --leave-out "
                            + String.join(",", left)
                            + " does so");
        }
        if (!unknown.isEmpty()) {
            throw new QmpException(
                    "the survivor has no other disk or network backend "
                            + String.join(", ", unknown)
                            + " to be left out");
        }
        return allowed;
    }

    /** The names of each other disk that a guest's device writes to. */
    private static List<Set<String>> disks(Client machine, String disk)
            throws QmpException, IOException {
        List<Set<String>> found = new ArrayList<>();
        for (BlockInfo drive : machine.queryBlock()) {
            BlockDeviceInfo node = drive.inserted();
            String device = drive.qdev();
            if (node == null || node.ro() || device == null) {
                continue;
            }
            Set<String> names = new LinkedHashSet<>();
            names.add(drive.device());
            String nodeName = node.nodeName();
            if (nodeName != null) {
                names.add(nodeName);
            }
            names.add(device);
            names.remove("");
            if (!names.contains(disk)) {
                found.add(names);
            }
        }
        return found;
    }

    /** The name of each other network backend that a card of the guest's uses. */
    private static List<Set<String>> cards(Client machine, String netdev)
            throws QmpException, IOException {
        List<Set<String>> found = new ArrayList<>();
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
                            && !name.value().isEmpty()
                            && !name.value().equals(netdev)) {
                        found.add(Set.of(name.value()));
                    }
                }
            }
        }
        return found;
    }
}
