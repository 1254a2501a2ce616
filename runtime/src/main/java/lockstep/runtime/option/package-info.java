/** Options: their texts, the table of them, the order in which they take effect. Rooms offer theirs to it. */
@NullMarked
package lockstep.runtime.option;

import org.jspecify.annotations.NullMarked;
