package lockstep.runtime.migration;

import lockstep.api.BitmapMigrationBitmapAlias;
import lockstep.api.BitmapMigrationNodeAlias;
import lockstep.qmp.QmpException;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What names dirty bitmaps can move under. */
final class BitmapNames {
    private static final int ALIAS_MAX = 255;
    private static final int NODE_MAX = 31;
    private static final int BITMAP_MAX = 1023;

    private BitmapNames() {}

    /** Errors when a name cannot be one, or stands for two. */
    static void check(List<BitmapMigrationNodeAlias> nodes) throws QmpException {
        Set<String> names = new HashSet<>();
        Set<String> aliases = new HashSet<>();
        for (BitmapMigrationNodeAlias node : nodes) {
            if (!node.alias().matches("[a-zA-Z][a-zA-Z0-9._-]*")) {
                throw bad("The node alias '%s' is not well-formed", node.alias());
            }
            checkLength("node alias", node.alias(), ALIAS_MAX);
            checkLength("node name", node.nodeName(), NODE_MAX);
            if (!names.add(node.nodeName())) {
                throw bad("The node name '%s' is mapped twice", node.nodeName());
            }
            if (!aliases.add(node.alias())) {
                throw bad("The node alias '%s' is used twice", node.alias());
            }
            checkBitmaps(node);
        }
    }

    private static void checkBitmaps(BitmapMigrationNodeAlias node) throws QmpException {
        Set<String> names = new HashSet<>();
        Set<String> aliases = new HashSet<>();
        for (BitmapMigrationBitmapAlias bitmap : node.bitmaps()) {
            checkLength("bitmap alias", bitmap.alias(), ALIAS_MAX);
            checkLength("bitmap name", bitmap.name(), BITMAP_MAX);
            if (!names.add(bitmap.name())) {
                throw bad(
                        "The bitmap '%s' is mapped twice", node.nodeName() + "'/'" + bitmap.name());
            }
            if (!aliases.add(bitmap.alias())) {
                throw bad(
                        "The bitmap alias '%s' is used twice",
                        node.alias() + "'/'" + bitmap.alias());
            }
        }
    }

    private static void checkLength(String what, String name, int most) throws QmpException {
        if (name.getBytes(StandardCharsets.UTF_8).length > most) {
            throw bad("The " + what + " '%s' is longer than " + most + " bytes", name);
        }
    }

    private static QmpException bad(String text, String name) {
        return new QmpException(
                "Invalid mapping given for block-bitmap-mapping: " + text.formatted(name));
    }
}
