/**
 * Work that goes on in the background while the guest runs, and that clients see in query-jobs: the mirror, which copies
 * a disk and follows what is written to it, the backup, which copies it as it was, and what moves data up and down a
 * chain of images.
 */
package lockstep.block.job;
