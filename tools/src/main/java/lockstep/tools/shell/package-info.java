/** What the programs share towards their users: command lines, messages, exit codes. */
package lockstep.tools.shell;
