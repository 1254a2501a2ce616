/**
 * {@code lockstep-qmp}: runs QMP commands from its command line, from a file or pipe, or from a terminal
 * with line editing. Commands are JSON, or {@code NAME KEY=VALUE...} whose values get their types from the
 * server's own schema. Line editing (JLine) is loaded for terminals only.
 */
package lockstep.shell;
