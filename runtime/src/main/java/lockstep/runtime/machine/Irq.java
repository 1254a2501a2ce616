package lockstep.runtime.machine;

/** One interrupt input: a wire whose level a device drives. Called under the machine lock. */
@FunctionalInterface
public interface Irq {
    /** Drives the wire; repeating a level has no effect. */
    void set(boolean level);

    /** High, then low: one edge. */
    default void pulse() {
        set(true);
        set(false);
    }

    /** A wire that leads nowhere. */
    Irq NONE = level -> {};
}
