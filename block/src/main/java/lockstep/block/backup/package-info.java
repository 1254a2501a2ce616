/**
 * A disk as it was at one moment, kept while it is written: the filter that saves what is about to be overwritten, and
 * the node that shows what it has saved.
 */
package lockstep.block.backup;
