package lockstep.runtime.accelerator;

import java.io.IOException;

/** An accelerator is not there or refuses something; the message is a full sentence for the user. */
public class AcceleratorException extends IOException {
    private static final long serialVersionUID = 1L;

    /** With the sentence that a user reads. */
    public AcceleratorException(String message) {
        super(message);
    }

    /** The sentence; never null. */
    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }
}
