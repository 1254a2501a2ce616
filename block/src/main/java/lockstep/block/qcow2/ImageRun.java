package lockstep.block.qcow2;

/**
 * What an image itself has for a run of bytes, whatever is below it.
 *
 * @param length bytes this answer holds for, at least 1
 * @param hostOffset where in the file the run begins, in a row up to its end; negative when it is not there as it is
 */
public record ImageRun(Kind kind, long length, long hostOffset) {
    /** What there is. */
    public enum Kind {
        /** Nothing: it is read from below. */
        UNALLOCATED,
        /** It reads as zeroes. */
        ZERO,
        /** Data as it is. */
        DATA,
        /** Data that is compressed. */
        COMPRESSED
    }
}
