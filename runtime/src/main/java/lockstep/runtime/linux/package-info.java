/**
 * The calls into the C library and the Linux kernel. Only this package links native functions or gives
 * segments a size; everything above sees owners of descriptors and memory, and typed calls. Raw calls
 * ({@link lockstep.runtime.linux.FileCalls}, {@link lockstep.runtime.linux.SocketCalls}) return the
 * result or the negated errno and allocate nothing; the typed layer throws {@link
 * lockstep.runtime.linux.LinuxException}.
 */
package lockstep.runtime.linux;
