/**
 * Work that goes on in the background while the guest runs, and that clients see in query-jobs: so far the
 * mirror, which copies a disk and follows what is written to it.
 */
package lockstep.block.job;
