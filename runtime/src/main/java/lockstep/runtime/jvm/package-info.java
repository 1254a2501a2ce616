/** Guests on a processor in software: the accelerator around {@code lockstep.x86}. */
@NullMarked
package lockstep.runtime.jvm;

import org.jspecify.annotations.NullMarked;
