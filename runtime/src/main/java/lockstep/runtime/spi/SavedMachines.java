package lockstep.runtime.spi;

import lockstep.qmp.QmpException;

/** What {@code -loadvm} needs of those who keep machines, who publish it. */
public interface SavedMachines {
    /**
     * Makes the machine, which was reset and does not run yet, what was kept. In the last step of starting.
     *
     * @param tag its name
     * @throws QmpException with a sentence for the user; the machine is not to be used then
     */
    void load(String tag) throws QmpException;
}
