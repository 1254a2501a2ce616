package lockstep.colo.checkpoint;

/**
 * How many pages went to the secondary since the session began.
 *
 * @param ahead while the guest ran
 * @param rounds in how many rounds
 * @param inPause while it stood
 */
record PagesSent(long ahead, long rounds, long inPause) {
    /** None. */
    static final PagesSent NONE = new PagesSent(0, 0, 0);

    /** With those of one more checkpoint. */
    PagesSent plus(long moreAhead, long moreRounds, long moreInPause) {
        return new PagesSent(ahead + moreAhead, rounds + moreRounds, inPause + moreInPause);
    }
}
