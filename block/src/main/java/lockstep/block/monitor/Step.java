package lockstep.block.monitor;

/** A change that was made. Exactly one of the two follows; {@link #takeBack} with nobody inside the graph. */
public interface Step {
    /** All that belongs together can be done. */
    default void commit() {}

    /** It is to be as before. */
    void takeBack();
}
