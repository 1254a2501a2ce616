package lockstep.devices.pc;

import lockstep.api.DisplayOptions;
import lockstep.api.DisplayType;
import lockstep.api.MouseInfo;
import lockstep.api.PciCommands;
import lockstep.api.PciInfo;
import lockstep.api.UiCommands;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciFunction;
import lockstep.devices.usb.UsbBuses;
import lockstep.runtime.spi.Vmm;

import java.util.ArrayList;
import java.util.List;

/** pci.json and ui.json: what the present board, if there is one, has on its bus and for a user's hand. */
final class BoardCommands implements PciCommands, UiCommands {
    private final Vmm vmm;
    private final UsbBuses usb;

    BoardCommands(Vmm vmm, UsbBuses usb) {
        this.vmm = vmm;
        this.usb = usb;
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

    /** Newer devices stand first; the first one takes what the user does. */
    @Override
    public List<MouseInfo> queryMice() {
        if (vmm.find(PcBoard.class).isEmpty()) {
            return List.of();
        }
        List<Boolean> absolute = new ArrayList<>(usb.pointers());
        List<MouseInfo> list = new ArrayList<>();
        for (int i = absolute.size() - 1; i >= 0; i--) {
            boolean tablet = absolute.get(i);
            list.add(
                    new MouseInfo(
                            tablet ? "QEMU HID Tablet" : "QEMU HID Mouse",
                            i + 1,
                            list.isEmpty(),
                            tablet));
        }
        list.add(new MouseInfo("QEMU PS/2 Mouse", 0, list.isEmpty(), false));
        return list;
    }

    @Override
    public DisplayOptions queryDisplayOptions() {
        return new DisplayOptions(DisplayType.NONE);
    }
}
