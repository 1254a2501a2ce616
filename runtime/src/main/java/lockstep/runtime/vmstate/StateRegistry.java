package lockstep.runtime.vmstate;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToIntFunction;

/** The sections of one machine in the order in which they are written. Used under the machine lock. */
public final class StateRegistry {
    private final List<StateSection> sections = new ArrayList<>();
    private final List<String> blockers = new ArrayList<>();

    /** Adds a section. A second one of the same name and instance is a programming error. */
    public void register(StateSection section) {
        if (find(section.name(), section.instance()) != null) {
            throw new IllegalArgumentException(
                    "section " + section.name() + " " + section.instance() + " exists already");
        }
        sections.add(section);
        sections.sort(Comparator.comparingInt(StateSection::priority).reversed());
    }

    /** Puts the sections in another order within their priority; those of the same place keep theirs. */
    public void arrange(ToIntFunction<StateSection> place) {
        sections.sort(
                Comparator.comparingInt(StateSection::priority).reversed().thenComparingInt(place));
    }

    /** Removes a section, of a device that was unplugged. */
    public void unregister(StateSection section) {
        sections.remove(section);
    }

    /** All sections, those of higher priority first, then in order of registration. */
    public List<StateSection> sections() {
        return List.copyOf(sections);
    }

    /** The section of that name and instance, or null. */
    public @Nullable StateSection find(String name, int instance) {
        for (StateSection s : sections) {
            if (s.instance() == instance && s.name().equals(name)) {
                return s;
            }
        }
        return null;
    }

    /** Declares that migration is impossible, with the sentence that {@code migrate} answers. */
    public void block(String reason) {
        blockers.add(reason);
    }

    /** Takes one such declaration back. */
    public void unblock(String reason) {
        blockers.remove(reason);
    }

    /** Why migration is impossible now; empty when it is possible. */
    public List<String> blockers() {
        return List.copyOf(blockers);
    }
}
