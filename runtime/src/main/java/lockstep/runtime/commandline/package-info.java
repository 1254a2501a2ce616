/** The command line: option texts, the table of options, the order in which they take effect. */
package lockstep.runtime.commandline;
