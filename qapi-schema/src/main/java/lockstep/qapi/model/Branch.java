package lockstep.qapi.model;

/**
 * A branch of a union or an alternative of an alternate.
 *
 * @param name the discriminator's value, or the alternative's name
 * @param type its type
 * @param condition when it is there
 */
public record Branch(String name, TypeRef type, Condition condition) {}
