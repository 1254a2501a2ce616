package lockstep.block;

import lockstep.runtime.linux.Errno;

/** Told once when a request is over: on the main loop, with the machine lock held. */
@FunctionalInterface
public interface Completion {
    /**
     * The request is over.
     *
     * @param errno 0 when it worked, else a positive Linux error number ({@link Errno})
     */
    void complete(int errno);
}
