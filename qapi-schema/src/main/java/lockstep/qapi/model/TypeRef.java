package lockstep.qapi.model;

/**
 * Use of a type: the type of that name, or an array of it.
 *
 * @param name a built-in type or a definition
 * @param array whether an array is meant
 */
public record TypeRef(String name, boolean array) {
    @Override
    public String toString() {
        return array ? "['" + name + "']" : name;
    }
}
