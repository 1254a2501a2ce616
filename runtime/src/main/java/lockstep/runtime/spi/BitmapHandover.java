package lockstep.runtime.spi;

import lockstep.api.BitmapMigrationNodeAlias;
import lockstep.qmp.QmpException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/**
 * Dirty bitmaps of disks move with a migration, in a section of their own whose start goes out with that of RAM and whose
 * end behind the end of RAM (QEMU: savevm "dirty-bitmap" v1). Published by the block room.
 */
public interface BitmapHandover {
    /** The section's name. */
    String SECTION = "dirty-bitmap";

    /** The section's version. */
    int VERSION = 1;

    /**
     * Begins to send all bitmaps; nobody may change them until the end. Machine lock held.
     *
     * @param names under which they move; null for their own
     * @return null when there are none
     */
    @Nullable Sending send(@Nullable List<BitmapMigrationNodeAlias> names) throws QmpException;

    /**
     * Takes what a stream brings.
     *
     * @param names under which bitmaps come; null for their own
     */
    Receiving receive(@Nullable List<BitmapMigrationNodeAlias> names);

    /** The bitmaps of one migration. */
    interface Sending {
        /** Writes what the section begins with. */
        void begin(StateOutput out);

        /** The guest has stopped, and the images are about to be left: they do not keep these bitmaps. Machine lock held. */
        void leave();

        /** Writes a piece of the section's end; false when it was the last. */
        boolean rest(StateOutput out);

        /** The migration is over, whether it worked or not. Machine lock held. */
        void end();
    }

    /** The bitmaps of one stream. */
    interface Receiving {
        /** Reads the content of one part of the section. Machine lock held. */
        void load(StateInput in) throws IOException;
    }
}
