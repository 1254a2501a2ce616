package lockstep.colo.checkpoint;

import lockstep.runtime.migration.ColoSource;

import java.io.IOException;

/**
 * Sends the pages of a checkpoint ahead while the primary's guest still runs, in rounds: each has what
 * changed during the one before. They end when few pages are left or too many come back, as those of a
 * guest that writes to the same ones at full speed do; such a guest is then left alone for some
 * checkpoints. The secondary keeps the pages apart until the checkpoint is complete. Used by the session's
 * thread.
 */
final class PagesAhead {
    /** So few pages are quicker sent than looked for once more. */
    private static final long FEW = 64;

    private static final int MOST_ROUNDS = 8;
    private static final int LONGEST_REST = 8;

    private final ColoSource source;
    private final Side.Work check;
    private long pages;
    private long left;
    private int rounds;
    private int rest;
    private int nextRest = 1;

    /** With what throws when the session is to end. */
    PagesAhead(ColoSource source, Side.Work check) {
        this.source = source;
        this.check = check;
    }

    /** Sends what pays. Returns how many pages will be left, as far as one knows. */
    long send() throws IOException {
        pages = 0;
        rounds = 0;
        if (rest > 0) {
            rest--;
        } else {
            left = sendRounds();
        }
        return left;
    }

    private long sendRounds() throws IOException {
        long dirty = source.collectPages();
        while (dirty > FEW && rounds < MOST_ROUNDS) {
            check.run();
            source.sendPages();
            pages += dirty;
            rounds++;
            long again = source.collectPages();
            if (again > dirty / 2) {
                if (rounds == 1) {
                    rest = nextRest;
                    nextRest = Math.min(2 * nextRest, LONGEST_REST);
                }
                // As many in each checkpoint without rounds, as far as one knows.
                return Math.max(dirty, again);
            }
            nextRest = 1;
            dirty = again;
        }
        return dirty;
    }

    /** Sends none. Returns how many there are now. */
    long count() {
        pages = 0;
        rounds = 0;
        left = source.collectPages();
        return left;
    }

    /** How many pages the last call sent. */
    long pages() {
        return pages;
    }

    /** In how many rounds. */
    int rounds() {
        return rounds;
    }
}
