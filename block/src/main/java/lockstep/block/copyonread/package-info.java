/** Driver {@code copy-on-read}: what is read from below an image stays in it. */
package lockstep.block.copyonread;
