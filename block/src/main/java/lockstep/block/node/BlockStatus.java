package lockstep.block.node;

/**
 * What a node knows of a run of bytes.
 *
 * @param length bytes this answer holds for, at least 1 and at most what was asked
 * @param data some layer stores bytes for it
 * @param zero it reads as zeroes
 * @param allocated this layer decides the content (it does not come from a backing node)
 */
public record BlockStatus(long length, boolean data, boolean zero, boolean allocated) {}
