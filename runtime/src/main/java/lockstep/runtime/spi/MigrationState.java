package lockstep.runtime.spi;

/** What the migration service tells others of itself; published as a service. */
public interface MigrationState {
    /** Whether the machine is being sent away, or is in COLO: what it consists of must not change. */
    boolean busy();
}
