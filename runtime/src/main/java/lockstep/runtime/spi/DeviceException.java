package lockstep.runtime.spi;

/** A device that cannot be made or removed; the message is what a user reads, in QEMU's words. */
public class DeviceException extends Exception {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public DeviceException(String message) {
        super(message);
    }

    /** With the sentence that a user reads, and what caused it. */
    public DeviceException(String message, Throwable cause) {
        super(message, cause);
    }
}
