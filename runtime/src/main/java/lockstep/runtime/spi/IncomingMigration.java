package lockstep.runtime.spi;

import lockstep.qmp.QmpException;

/** What {@code -incoming} needs of the migration service, which publishes it. */
public interface IncomingMigration {
    /**
     * Begins to listen, in the last step of starting.
     *
     * @param text a URI or a JSON channel; never {@code defer}
     */
    void listen(String text) throws QmpException;
}
