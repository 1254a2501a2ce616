package lockstep.devices.pc;

import lockstep.api.DisplayOptions;
import lockstep.api.DisplayType;
import lockstep.api.KeyValue;
import lockstep.api.MouseInfo;
import lockstep.api.PciCommands;
import lockstep.api.PciInfo;
import lockstep.api.SendKeyArguments;
import lockstep.api.UiCommands;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciFunction;
import lockstep.qmp.QmpException;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** pci.json and ui.json: what the present board, if there is one, has on its bus and for a user's hand. */
final class BoardCommands implements PciCommands, UiCommands {
    private final Vmm vmm;

    BoardCommands(Vmm vmm) {
        this.vmm = vmm;
    }

    @Override
    public List<PciInfo> queryPci() {
        return vmm.find(PcBoard.class).map(PcBoard::pci).stream()
                .map(
                        bus ->
                                new PciInfo(
                                        0,
                                        bus.functions().stream()
                                                .map(PciFunction::describe)
                                                .toList()))
                .toList();
    }

    @Override
    public List<MouseInfo> queryMice() {
        return input().map(UserInput::mice).orElse(List.of());
    }

    @Override
    public void sendKey(SendKeyArguments a) {
        input().ifPresent(i -> i.press(a.keys(), Objects.requireNonNullElse(a.holdTime(), 0L)));
    }

    private Optional<UserInput> input() {
        return vmm.find(UserInput.class);
    }

    /** The human monitor's commands for a user's hands, and the one that says where to boot from. */
    void register(HmpTable table) {
        table.add(
                "sendkey",
                "keys:s,hold-time:i?",
                "keys [hold_ms]",
                "press keys, such as ctrl-alt-f1 (100 milliseconds each)",
                (a, out) -> {
                    try {
                        List<KeyValue> keys = UserInput.parse(a.string("keys"));
                        input().ifPresent(i -> i.press(keys, a.integer("hold-time", 0)));
                    } catch (QmpException e) {
                        out.append(e.getMessage()).append('\n');
                    }
                });
        table.add(
                "mouse_move",
                "dx_str:s,dy_str:s,dz_str:s?",
                "dx dy [dz]",
                "move the mouse, turn its wheel",
                (a, out) ->
                        input().ifPresent(
                                        i ->
                                                i.move(
                                                        number(a.string("dx_str")),
                                                        number(a.string("dy_str")),
                                                        number(a.optional("dz_str")))));
        table.add(
                "mouse_button",
                "button_state:i",
                "state",
                "hold buttons of the mouse (1 left, 2 middle, 4 right)",
                (a, out) -> input().ifPresent(i -> i.hold((int) a.integer("button_state", 0))));
        table.add(
                "mouse_set",
                "index:i",
                "index",
                "choose the mouse, by its number of 'info mice'",
                (a, out) -> {
                    int index = (int) a.integer("index", 0);
                    try {
                        input().orElseThrow(() -> nothingAt(index)).chooseMouse(index);
                    } catch (QmpException e) {
                        out.append(e.getMessage()).append('\n');
                    }
                });
        table.add(
                "boot_set",
                "bootdevice:s",
                "bootdevice",
                "what to boot from after the next reset",
                (a, out) -> out.append(boot(a.string("bootdevice"))).append('\n'));
    }

    private static QmpException nothingAt(int index) {
        return new QmpException("Mouse at index '" + index + "' not found");
    }

    /** A number at the start of a text, 0 if there is none. */
    private static int number(@Nullable String text) {
        Matcher number =
                Pattern.compile("([-+]?\\d{1,9}).*").matcher(Objects.requireNonNullElse(text, ""));
        return number.matches() ? Integer.parseInt(number.group(1)) : 0;
    }

    private String boot(String order) {
        PcMachine board =
                vmm.find(PcBoard.class)
                        .filter(PcMachine.class::isInstance)
                        .map(PcMachine.class::cast)
                        .orElse(null);
        if (board == null) {
            return "no function defined to set boot device list for this architecture";
        }
        for (int i = 0; i < order.length(); i++) {
            char c = order.charAt(i);
            if (c < 'a' || c > 'p') {
                return "Invalid boot device '" + c + "'";
            }
            if (order.indexOf(c) < i) {
                return "Boot device '" + c + "' was given twice";
            }
        }
        try {
            board.bootFrom(order);
            return "boot device list now set to " + order;
        } catch (IllegalArgumentException e) {
            return String.valueOf(e.getMessage());
        }
    }

    @Override
    public DisplayOptions queryDisplayOptions() {
        return new DisplayOptions(DisplayType.NONE);
    }
}
