package lockstep.block.luks;

import lockstep.block.node.BlockException;
import lockstep.runtime.linux.Errno;

/** Where passwords come from: the user's {@code secret} objects. Machine lock held. */
@FunctionalInterface
public interface Secrets {
    /** There are none. */
    Secrets NONE =
            id -> {
                throw new BlockException(Errno.EINVAL, "No secret with id '" + id + "'");
            };

    /** What the secret of that identifier is; the caller must not change it. Errors when there is none. */
    byte[] find(String id) throws BlockException;
}
