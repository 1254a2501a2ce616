package lockstep.qapi.model;

import java.util.List;

/**
 * A value of an enumeration.
 *
 * @param name wire name
 * @param condition when it is there
 * @param features its features
 */
public record EnumValue(String name, Condition condition, List<Feature> features) {}
