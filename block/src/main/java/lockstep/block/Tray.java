package lockstep.block;

/**
 * The tray of a drive with removable media, as the guest's device keeps it. Used on the main loop, machine
 * lock held.
 */
public interface Tray {
    /** Whether it is open. */
    boolean open();

    /** Whether the guest has locked it. */
    boolean locked();

    /** The user moves it; the guest notices that the medium may be another one. */
    void move(boolean open);

    /**
     * The user has pressed the button of a locked tray; the guest is told.
     *
     * @param force takes the lock away as well
     */
    void requestEject(boolean force);
}
