package lockstep.qapi.model;

import java.util.List;

/**
 * A member of an object, or an argument.
 *
 * @param name wire name
 * @param type its type
 * @param optional whether it may be absent
 * @param condition when it is there
 * @param features its features
 */
public record Member(
        String name, TypeRef type, boolean optional, Condition condition, List<Feature> features) {}
