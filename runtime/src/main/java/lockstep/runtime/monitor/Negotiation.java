package lockstep.runtime.monitor;

import lockstep.qmp.Empty;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.QmpCommand;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** {@code qmp_capabilities} as a session answers it: the names are checked by the session. */
final class Negotiation {
    static final QmpCommand<List<String>, Empty> COMMAND =
            new QmpCommand<>(
                    "qmp_capabilities",
                    Negotiation::read,
                    (value, visitor, name) -> {},
                    Empty::read,
                    Empty::write,
                    true,
                    false,
                    true);

    private Negotiation() {}

    private static List<String> read(InputVisitor visitor, @Nullable String name)
            throws QmpException {
        visitor.startStruct(name);
        List<String> enable =
                visitor.has("enable")
                        ? visitor.list("enable", (v, element) -> v.string(element))
                        : List.of();
        visitor.endStruct();
        return enable;
    }
}
