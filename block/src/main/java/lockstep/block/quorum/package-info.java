/**
 * One disk kept on several children: writes go to all of them, reads are voted on or come from the
 * first that answers.
 */
package lockstep.block.quorum;
