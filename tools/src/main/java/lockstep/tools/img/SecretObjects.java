package lockstep.tools.img;

import lockstep.api.ObjectOptions;
import lockstep.block.luks.Secrets;
import lockstep.block.node.BlockException;
import lockstep.qmp.QmpException;
import lockstep.runtime.command.SecretObject;
import lockstep.runtime.commandline.ObjectText;
import lockstep.runtime.option.OptionException;
import lockstep.tools.shell.ToolException;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The secrets of {@code --object}, the only objects that images need here. */
final class SecretObjects implements Secrets {
    private final Map<String, SecretObject> objects = new HashMap<>();

    /** Makes one. */
    void add(String text) throws ToolException {
        try {
            if (!(ObjectText.parse(text, List.of("secret"))
                    instanceof ObjectOptions.Secret given)) {
                throw new ToolException("Only objects of type 'secret' can be made here");
            }
            if (objects.putIfAbsent(given.id(), SecretObject.create(given, objects::get)) != null) {
                throw new ToolException(
                        "attempt to add duplicate property '"
                                + given.id()
                                + "' to object (type 'container')");
            }
        } catch (OptionException | QmpException e) {
            throw new ToolException(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public byte[] find(String id) throws BlockException {
        SecretObject secret = objects.get(id);
        return secret == null ? Secrets.NONE.find(id) : secret.content();
    }
}
