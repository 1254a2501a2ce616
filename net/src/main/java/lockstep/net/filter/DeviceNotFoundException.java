package lockstep.net.filter;

import lockstep.net.NetException;

/** A named thing that does not exist; QMP answers class DeviceNotFound. */
public final class DeviceNotFoundException extends NetException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public DeviceNotFoundException(String message) {
        super(message);
    }
}
