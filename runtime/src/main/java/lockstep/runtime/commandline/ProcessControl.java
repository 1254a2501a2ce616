package lockstep.runtime.commandline;

/** What options ask of the process itself. */
public interface ProcessControl {
    /** Ends the process when the one that started it ends. */
    void exitWithParent();
}
