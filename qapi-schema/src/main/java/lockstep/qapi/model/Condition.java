package lockstep.qapi.model;

import java.util.List;
import java.util.Set;

/** When something is part of the product: the value of an {@code if} key. */
public sealed interface Condition {
    /** No condition. */
    Condition ALWAYS = new All(List.of());

    /** Whether it holds when exactly the given symbols are defined. */
    boolean holds(Set<String> defined);

    /** A symbol is defined. */
    record Symbol(String name) implements Condition {
        @Override
        public boolean holds(Set<String> defined) {
            return defined.contains(name);
        }
    }

    /** All operands hold. */
    record All(List<Condition> operands) implements Condition {
        @Override
        public boolean holds(Set<String> defined) {
            return operands.stream().allMatch(c -> c.holds(defined));
        }
    }

    /** At least one operand holds. */
    record Any(List<Condition> operands) implements Condition {
        @Override
        public boolean holds(Set<String> defined) {
            return operands.stream().anyMatch(c -> c.holds(defined));
        }
    }

    /** The operand does not hold. */
    record Not(Condition operand) implements Condition {
        @Override
        public boolean holds(Set<String> defined) {
            return !operand.holds(defined);
        }
    }
}
