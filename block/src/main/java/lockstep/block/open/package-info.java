/**
 * Makes nodes from options. {@link lockstep.block.open.NodeOpener} opens a tree from typed options;
 * {@link lockstep.block.open.LegacyTree} turns what {@code -drive} and file names leave open
 * (drivers to be guessed, older spellings) into such options first.
 */
package lockstep.block.open;
