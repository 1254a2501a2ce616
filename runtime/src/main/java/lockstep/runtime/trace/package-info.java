/** Trace events: named points of the program whose text line a user can switch on at run time. */
package lockstep.runtime.trace;
