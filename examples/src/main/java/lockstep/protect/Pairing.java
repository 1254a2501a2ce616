package lockstep.protect;

import lockstep.api.Client;
import lockstep.api.ObjectPropertyInfo;
import lockstep.api.QomListArguments;
import lockstep.qmp.QmpException;

import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What all parts of one run share.
 *
 * @param survivor the machine whose guest runs on
 * @param secondary the one that waits
 * @param settings those that the user gave
 * @param patience how long anything may go without getting on
 * @param secrecy with which credentials they talk
 * @param progress takes lines for the user
 * @param undo takes back what was made
 */
record Pairing(
        Client survivor,
        Client secondary,
        Map<Setting, String> settings,
        Duration patience,
        Secrecy secrecy,
        Consumer<String> progress,
        Undo undo) {

    /** The first disk and the first card have the names of the COLO scripts; those of the others end in a number. */
    static String numbered(String id, int index) {
        return index == 0 ? id : id + "." + index;
    }

    String get(Setting setting) {
        return settings.getOrDefault(setting, setting.standard);
    }

    /** The names in a list. */
    Set<String> list(Setting setting) {
        Set<String> names = new LinkedHashSet<>(List.of(get(setting).split(",")));
        names.remove("");
        return names;
    }

    void tell(String line) {
        progress.accept(line);
    }

    Waiting waiting(String silence) {
        return new Waiting(patience, silence);
    }

    /** The types of the survivor's objects, by name. */
    Map<String, String> objects() throws QmpException, IOException {
        Map<String, String> types = new HashMap<>();
        for (ObjectPropertyInfo o : survivor.qomList(new QomListArguments("/objects"))) {
            types.put(o.name(), o.type().replaceAll("^child<|>$", ""));
        }
        return types;
    }
}
