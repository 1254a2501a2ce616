package lockstep.runtime.spi;

import lockstep.qmp.QmpException;

/**
 * Who may use the images: this process or the other end of a migration. Published by the block room;
 * called under the machine lock.
 */
public interface DiskHandover {
    /** Opens all nodes for use by this process; those that are open already stay so. */
    void activateAll() throws QmpException;

    /** Flushes all nodes and leaves the images to another process. */
    void inactivateAll() throws QmpException;
}
