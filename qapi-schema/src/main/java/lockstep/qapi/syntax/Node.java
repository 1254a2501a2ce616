package lockstep.qapi.syntax;

import java.util.List;
import java.util.Map;

/** A value of the schema language: object, list, string or boolean; there are no numbers or null. */
public sealed interface Node {
    /** Whether it is true, or not empty. */
    boolean truthy();

    /** An object; members keep their written order. */
    record Obj(Map<String, Node> members) implements Node {
        @Override
        public boolean truthy() {
            return !members.isEmpty();
        }
    }

    /** A list. */
    record Arr(List<Node> elements) implements Node {
        @Override
        public boolean truthy() {
            return !elements.isEmpty();
        }
    }

    /** A string. */
    record Str(String value) implements Node {
        @Override
        public boolean truthy() {
            return !value.isEmpty();
        }
    }

    /** A boolean. */
    record Bool(boolean value) implements Node {
        @Override
        public boolean truthy() {
            return value;
        }
    }
}
