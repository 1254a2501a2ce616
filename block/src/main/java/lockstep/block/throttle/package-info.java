/** Limits of bytes and requests in a second: groups, the objects that users make of them, driver {@code throttle}. */
@NullMarked
package lockstep.block.throttle;

import org.jspecify.annotations.NullMarked;
