/** The context of one virtual machine process, and its main program. */
package lockstep.runtime;
