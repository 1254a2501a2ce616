/** Driver {@code blkdebug}: a node that fails requests on purpose or holds them up, for those who test what is above. */
@NullMarked
package lockstep.block.blkdebug;

import org.jspecify.annotations.NullMarked;
