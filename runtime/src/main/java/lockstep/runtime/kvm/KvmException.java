package lockstep.runtime.kvm;

import lockstep.runtime.accelerator.AcceleratorException;
import lockstep.runtime.linux.Errno;

/** KVM is not there or refuses something; the message is a full sentence for the user. */
final class KvmException extends AcceleratorException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    KvmException(String message) {
        super(message);
    }

    /** Passes on the result of an ioctl, or throws for a negated errno. */
    static int check(int result, String call) throws KvmException {
        if (result < 0) {
            throw new KvmException("KVM: " + call + " failed: " + Errno.text(-result));
        }
        return result;
    }
}
