package lockstep.protect;

import lockstep.api.Client;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrationCapability;
import lockstep.api.MigrationCapabilityStatus;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The migration capabilities that both sides of a pair need. */
final class Capabilities {
    private Capabilities() {}

    /**
     * Has both sides begin COLO in the same way: with a return path where one of them does not go without it, as a QEMU 11 does
     * not; else without one, for a QEMU up to 10.2 fails with it.
     */
    static void agree(Client survivor, Client secondary, Undo undo)
            throws QmpException, IOException {
        Set<MigrationCapability> before = on(survivor);
        undo.push(
                () ->
                        set(
                                survivor,
                                Map.of(
                                        MigrationCapability.X_COLO,
                                        before.contains(MigrationCapability.X_COLO),
                                        MigrationCapability.RETURN_PATH,
                                        before.contains(MigrationCapability.RETURN_PATH))));
        boolean path =
                on(secondary).contains(MigrationCapability.RETURN_PATH)
                        || !takesColo(secondary)
                        || !takesColo(survivor);
        if (path) {
            for (Client side : List.of(secondary, survivor)) {
                set(side, colo(true));
            }
        }
    }

    private static Map<MigrationCapability, Boolean> colo(boolean path) {
        return Map.of(MigrationCapability.X_COLO, true, MigrationCapability.RETURN_PATH, path);
    }

    private static boolean takesColo(Client side) throws QmpException, IOException {
        try {
            set(side, colo(false));
            return true;
        } catch (QmpException e) {
            return false;
        }
    }

    private static Set<MigrationCapability> on(Client side) throws QmpException, IOException {
        Set<MigrationCapability> on = EnumSet.noneOf(MigrationCapability.class);
        for (MigrationCapabilityStatus c : side.queryMigrateCapabilities()) {
            if (c.state()) {
                on.add(c.capability());
            }
        }
        return on;
    }

    static void set(Client side, Map<MigrationCapability, Boolean> states)
            throws QmpException, IOException {
        List<MigrationCapabilityStatus> list = new ArrayList<>();
        states.forEach((c, on) -> list.add(new MigrationCapabilityStatus(c, on)));
        side.migrateSetCapabilities(new MigrateSetCapabilitiesArguments(list));
    }
}
