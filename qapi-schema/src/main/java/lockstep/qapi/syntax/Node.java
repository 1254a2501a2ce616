package lockstep.qapi.syntax;

import java.util.List;
import java.util.Map;

/** A value of the schema language: object, list, string or boolean; there are no numbers or null. */
public sealed interface Node {

    /** An object; members keep their written order. */
    record Obj(Map<String, Node> members) implements Node {}

    /** A list. */
    record Arr(List<Node> elements) implements Node {}

    /** A string. */
    record Str(String value) implements Node {}

    /** A boolean. */
    record Bool(boolean value) implements Node {}
}
