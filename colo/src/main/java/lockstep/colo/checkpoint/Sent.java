package lockstep.colo.checkpoint;

/**
 * What went to the secondary for checkpoints since the session began.
 *
 * @param ahead pages, while the guest ran
 * @param rounds in how many rounds
 * @param inPause pages, while it stood
 * @param deviceBytes bytes of device state
 */
record Sent(long ahead, long rounds, long inPause, long deviceBytes) {
    /** Nothing. */
    static final Sent NONE = new Sent(0, 0, 0, 0);

    /** With that of one more checkpoint. */
    Sent plus(long moreAhead, long moreRounds, long moreInPause, long moreDeviceBytes) {
        return new Sent(
                ahead + moreAhead,
                rounds + moreRounds,
                inPause + moreInPause,
                deviceBytes + moreDeviceBytes);
    }
}
