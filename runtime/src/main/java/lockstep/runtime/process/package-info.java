/** The services that run in one process: context, objects, devices, run control, and the end of it all. */
@NullMarked
package lockstep.runtime.process;

import org.jspecify.annotations.NullMarked;
