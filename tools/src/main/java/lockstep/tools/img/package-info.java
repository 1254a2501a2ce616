/**
 * {@code lockstep-img}: makes, shows, checks, copies and changes disk images. Its command line, output and exit codes
 * are those of qemu-img 7.2; what it cannot do it refuses by name.
 *
 * <p>{@link lockstep.tools.img.Main} finds the command; each command is a class of its own, which reads its {@link
 * lockstep.tools.shell.Options} and works on {@link lockstep.tools.img.Image}s that {@link lockstep.tools.img.Images}
 * opened. There is one thread besides those of the block room, and it holds what that calls the machine lock.
 */
package lockstep.tools.img;
