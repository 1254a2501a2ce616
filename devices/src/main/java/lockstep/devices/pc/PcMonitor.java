package lockstep.devices.pc;

import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciFunction;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.spi.Vmm;

/** The human monitor's view of the board. */
final class PcMonitor {
    private PcMonitor() {}

    static void install(Vmm vmm) {
        HmpTable table = vmm.hmp();
        table.addInfo(
                "pci",
                "",
                "",
                "show PCI info",
                (arguments, output) ->
                        vmm.find(PcBoard.class)
                                .ifPresent(
                                        b ->
                                                b.pci()
                                                        .functions()
                                                        .forEach(f -> describe(f, output))));
        table.addInfo(
                "roms",
                "",
                "",
                "what firmware there is for the guest",
                (arguments, output) ->
                        vmm.find(PcBoard.class).ifPresent(b -> output.append(b.describeRoms())));
        table.addInfo(
                "mtree",
                "flatview:-f,dispatch_tree:-d,owner:-o,disabled:-D",
                "[-f][-d][-o][-D]",
                "what is mapped where (-f: as the guest sees it)",
                (arguments, output) -> {
                    output.append("address-space: memory\n");
                    vmm.find(PcBoard.class).ifPresent(b -> append(b.core().memory(), output));
                    output.append("\naddress-space: I/O\n");
                    vmm.find(PcBoard.class).ifPresent(b -> append(b.core().ports(), output));
                });
    }

    private static void append(Object space, StringBuilder output) {
        if (space instanceof RegionMap map) {
            output.append(map.describe());
        }
    }

    private static void describe(PciFunction f, StringBuilder output) {
        output.append(
                "  Bus  0, device %3d, function %d:\n".formatted(f.devfn() >> 3, f.devfn() & 7));
        output.append(f.describeConfig());
    }
}
