package lockstep.runtime.commandline;

import lockstep.api.ObjectOptions;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.OptionText;
import lockstep.qmp.QmpException;
import lockstep.runtime.option.EndOfProgram;
import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionValues;
import lockstep.runtime.option.TypeHelp;

import java.util.Collection;

/** The text of {@code -object}: keys and values, or JSON. */
public final class ObjectText {
    private ObjectText() {}

    /**
     * Reads one.
     *
     * @param types the names of the types that there are, for who asks
     * @throws EndOfProgram with the answer, when it asks for the types or for the properties of one
     */
    public static ObjectOptions parse(String text, Collection<String> types)
            throws OptionException {
        if (TypeHelp.askedForTypes(text)) {
            throw new EndOfProgram(TypeHelp.objects(types));
        }
        try {
            return ObjectOptions.read(visitor(text, types), null);
        } catch (QmpException e) {
            throw new OptionException(e.description());
        }
    }

    private static InputVisitor visitor(String text, Collection<String> types)
            throws OptionException, QmpException {
        if (text.startsWith("{")) {
            if (!(JsonStreamParser.parse(text) instanceof JsonObject object)) {
                throw new OptionException("JSON object expected");
            }
            return new JsonInputVisitor(object);
        }
        OptionValues values = OptionValues.parse(text, "qom-type");
        if (TypeHelp.asked(values)) {
            String type = values.get("qom-type", "");
            if (!types.contains(type)) {
                throw new OptionException("invalid object type: " + type);
            }
            throw new EndOfProgram(TypeHelp.object(type));
        }
        return new KeyvalInputVisitor(
                OptionText.parse(text, "qom-type").toTree(), KeyvalInputVisitor.Style.OPTIONS);
    }
}
