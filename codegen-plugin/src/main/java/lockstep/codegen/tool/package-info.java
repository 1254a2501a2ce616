/** The command line {@code lockstep-qapi}. */
package lockstep.codegen.tool;
