package lockstep.runtime.command;

import lockstep.api.HumanReadableText;
import lockstep.api.InspectCommands;
import lockstep.qmp.QmpException;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.process.VmmProcess;

import java.util.List;

/** Texts of the human monitor for clients of the other one, and those that are made here. */
final class HumanTexts implements InspectCommands {
    /** How the human monitor marks a failure. */
    private static final String ERROR = "Error: ";

    private final VmmProcess vmm;

    HumanTexts(VmmProcess vmm) {
        this.vmm = vmm;
        vmm.hmp().addInfo("ramblock", "", "", "blocks of memory", this::blocks);
    }

    private HumanReadableText text(String topic) throws QmpException {
        String text = vmm.monitors().interpreter().run("info " + topic);
        if (text.startsWith(ERROR)) {
            throw new QmpException(text.substring(ERROR.length()).strip());
        }
        return new HumanReadableText(text);
    }

    @Override
    public HumanReadableText xQueryNuma() throws QmpException {
        return text("numa");
    }

    @Override
    public HumanReadableText xQueryRamblock() throws QmpException {
        return text("ramblock");
    }

    @Override
    public HumanReadableText xQueryUsb() throws QmpException {
        return text("usb");
    }

    @Override
    public HumanReadableText xQueryJit() throws QmpException {
        throw new QmpException("JIT information is only available with accel=tcg");
    }

    @Override
    public HumanReadableText xQueryInterruptControllers() throws QmpException {
        return text("pic");
    }

    @Override
    public HumanReadableText xQueryIrq() throws QmpException {
        return text("irq");
    }

    @Override
    public HumanReadableText xQueryRoms() throws QmpException {
        return text("roms");
    }

    @Override
    public HumanReadableText xAccelStats() throws QmpException {
        return text("accel");
    }

    private void blocks(HmpArguments a, StringBuilder out) {
        String row = "%24s %8s  %18s %18s %18s %18s %3s\n";
        out.append(row.formatted("Block Name", "PSize", "Offset", "Used", "Total", "HVA", "RO"));
        Machine machine = vmm.machine();
        long offset = 0;
        for (RamBlock b : machine == null ? List.<RamBlock>of() : machine.blocks()) {
            out.append(
                    row.formatted(
                            b.name(),
                            (RamBlock.PAGE >> 10) + " KiB",
                            "0x%016x".formatted(offset),
                            "0x%016x".formatted(b.usedLength()),
                            "0x%016x".formatted(b.maxLength()),
                            "0x%016x".formatted(b.memory().address()),
                            ""));
            offset += b.maxLength();
        }
    }
}
