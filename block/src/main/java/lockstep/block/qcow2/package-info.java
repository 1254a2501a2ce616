/**
 * The qcow2 image format, versions 2 and 3 (published specification: qcow2.txt of the QEMU
 * project).
 *
 * <p>{@link lockstep.block.qcow2.Qcow2Node} is the image's life, {@link
 * lockstep.block.qcow2.GuestDisk} does the guest's I/O; the header, the refcounts and the mapping
 * tables have a class each. Metadata is written in an order that leaves an image valid whenever the
 * process dies ({@link lockstep.block.qcow2.WriteBack}): what a crash can leave is unused clusters.
 *
 * <p>No lock is held while guest data or a flush is on its way: {@link
 * lockstep.block.qcow2.InFlight} keeps clusters what they are for the requests that use them.
 *
 * <p>An image may be damaged. {@link lockstep.block.qcow2.Guard} is the one door to its file: a
 * write that would hit what it is not marks the image corrupt and is the last one. {@link
 * lockstep.block.qcow2.MetadataMap} knows where the metadata is, {@link
 * lockstep.block.qcow2.Census} what the tables refer to when refcounts say otherwise.
 */
package lockstep.block.qcow2;
