package lockstep.runtime.kvm;

import lockstep.runtime.linux.Errno;

import java.io.IOException;

/** KVM is not there or refuses something; the message is a full sentence for the user. */
public final class KvmException extends IOException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public KvmException(String message) {
        super(message);
    }

    /** The sentence; never null. */
    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }

    /** Passes on the result of an ioctl, or throws for a negated errno. */
    static int check(int result, String call) throws KvmException {
        if (result < 0) {
            throw new KvmException("KVM: " + call + " failed: " + Errno.text(-result));
        }
        return result;
    }
}
