package lockstep.qapi.model;

/**
 * A feature flag; {@code deprecated} and {@code unstable} have a meaning of their own.
 *
 * @param name its name
 * @param condition when it is there
 */
public record Feature(String name, Condition condition) {}
