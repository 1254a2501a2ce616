package lockstep.qapi.check;

import lockstep.qapi.model.Member;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The members of an object type with those of its bases, and its branches. */
final class ObjectShape {
    /** Where a member is given. */
    enum Place {
        TYPE,
        INLINE_BASE,
        ARGUMENTS
    }

    /**
     * A member and the definition it is given in.
     *
     * @param owner name of that definition
     * @param place its part
     */
    record Owned(Member member, String owner, Place place) {
        /** How messages about a definition of some name speak of it. */
        String describe(String definition) {
            String role =
                    switch (place) {
                        case TYPE -> "member";
                        case INLINE_BASE -> "base member";
                        case ARGUMENTS -> "parameter";
                    };
            String text = role + " '" + member.name() + "'";
            return owner.equals(definition) ? text : text + " of type '" + owner + "'";
        }
    }

    final Map<String, Owned> byIdentifier = new LinkedHashMap<>();
    final List<ObjectShape> branches = new ArrayList<>();
    private final Set<String> below = new HashSet<>();

    /** False until all is known. */
    boolean complete;

    /** False when errors have been found, so that more found with it may be none. */
    boolean sound = true;

    /** All members but those of branches, base first. */
    List<Owned> members() {
        return new ArrayList<>(byIdentifier.values());
    }

    /** The identifiers of all members, also those of branches; once complete. */
    Set<String> identifiers() {
        if (below.isEmpty()) {
            below.addAll(byIdentifier.keySet());
            branches.forEach(b -> below.addAll(b.identifiers()));
        }
        return below;
    }
}
