package lockstep.block.node;

/** What a parent uses a child for. */
public enum Role {
    /** The storage below a format: metadata and data. */
    STORAGE,
    /** A filter's only source of data; the filter passes its own users' permissions through. */
    FILTERED,
    /** One of several places with data. */
    DATA,
    /** Where unallocated clusters are read from. */
    BACKING,
    /** The root of a backend or of a job. */
    ROOT
}
