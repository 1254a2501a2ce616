package lockstep.devices;

import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import java.io.ByteArrayInputStream;

/** Writes and reads one description as a section of its own. */
public final class Sections {
    private Sections() {}

    /** The content's bytes, without header and footer. */
    public static byte[] save(String name, StateCodec.Body body) throws StateException {
        StateOutput out = new StateOutput(1024);
        new SavingCodec(out, Description.none()).inPlace(section(name, body));
        return out.toByteArray();
    }

    /** Reads content back. */
    public static void load(String name, byte[] bytes, StateCodec.Body body) throws StateException {
        new LoadingCodec(new StateInput(new ByteArrayInputStream(bytes)))
                .content(section(name, body), 1);
    }

    private static StateSection section(String name, StateCodec.Body body) {
        return new StateSection() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public int version() {
                return 1;
            }

            @Override
            public void describe(StateCodec c) throws StateException {
                body.describe(c);
            }
        };
    }
}
