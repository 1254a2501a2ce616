package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.kvm_ioapic_state;
import lockstep.linux.abi.kvm_irqchip;
import lockstep.linux.abi.kvm_pic_state;
import lockstep.runtime.accelerator.InterruptControllers;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/** The PC's two 8259A and its 82093AA in the kernel: their reset and their sections. */
final class IrqChips implements InterruptControllers {
    private static final int PINS = 24;
    private static final long MASKED = 1L << 16;
    private static final long IOAPIC_BASE = 0xfec00000L;
    // Lines that can be level-triggered: not the timer, keyboard, cascade, clock and FPU.
    private static final int[] ELCR_MASKS = {0xf8, 0xde};

    private final KvmVm vm;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment buffer = kvm_irqchip.allocate(arena);

    IrqChips(KvmVm vm) {
        this.vm = vm;
    }

    @Override
    public void reset() throws KvmException {
        for (int chip = 0; chip < 2; chip++) {
            buffer.fill((byte) 0);
            kvm_pic_state.elcr_mask(kvm_irqchip.chip(buffer), (byte) ELCR_MASKS[chip]);
            vm.writeChip(chip, buffer);
        }
        buffer.fill((byte) 0);
        MemorySegment ioapic = kvm_irqchip.chip(buffer);
        kvm_ioapic_state.base_address(ioapic, IOAPIC_BASE);
        for (int i = 0; i < PINS; i++) {
            redirection(ioapic, i, MASKED);
        }
        vm.writeChip(KVM_IRQCHIP_IOAPIC(), buffer);
    }

    private static void redirection(MemorySegment ioapic, int pin, long value) {
        ioapic.set(ValueLayout.JAVA_LONG, kvm_ioapic_state.redirtbl$offset() + pin * 8L, value);
    }

    void close() {
        arena.close();
    }

    @Override
    public Irq gsi(int n) {
        return vm.gsi(n);
    }

    @Override
    public boolean signalMsi(long address, int data) {
        return vm.signalMsi(address, data);
    }

    @Override
    public List<StateSection> sections() {
        Pic first = new Pic(0, null);
        return List.of(first, new Pic(1, first), new IoApic());
    }

    /** QEMU: vmstate "i8259" v1. */
    private final class Pic implements StateSection {
        // In the order of the stream; the names are also those of the kernel's structure.
        private static final String[] NAMES = {
            "last_irr",
            "irr",
            "imr",
            "isr",
            "priority_add",
            "irq_base",
            "read_reg_select",
            "poll",
            "special_mask",
            "init_state",
            "auto_eoi",
            "rotate_on_auto_eoi",
            "special_fully_nested_mode",
            "init4",
            "single_mode",
            "elcr"
        };
        private static final int SINGLE_MODE = 14;

        private final int chip;
        private final @Nullable Pic first;
        private final long[] offsets = {
            kvm_pic_state.last_irr$offset(),
            kvm_pic_state.irr$offset(),
            kvm_pic_state.imr$offset(),
            kvm_pic_state.isr$offset(),
            kvm_pic_state.priority_add$offset(),
            kvm_pic_state.irq_base$offset(),
            kvm_pic_state.read_reg_select$offset(),
            kvm_pic_state.poll$offset(),
            kvm_pic_state.special_mask$offset(),
            kvm_pic_state.init_state$offset(),
            kvm_pic_state.auto_eoi$offset(),
            kvm_pic_state.rotate_on_auto_eoi$offset(),
            kvm_pic_state.special_fully_nested_mode$offset(),
            kvm_pic_state.init4$offset(),
            -1, // the kernel's PIC knows no single mode
            kvm_pic_state.elcr$offset()
        };
        private final int[] values = new int[NAMES.length];
        private int levelTriggered;

        /**
         * One of the pair.
         *
         * @param first the other one, into which this one leads
         */
        Pic(int chip, @Nullable Pic first) {
            this.chip = chip;
            this.first = first;
        }

        @Override
        public String name() {
            return "i8259";
        }

        @Override
        public int instance() {
            return chip;
        }

        @Override
        public boolean undoable() {
            return false;
        }

        @Override
        public int version() {
            return 1;
        }

        @Override
        public void beforeSave() throws StateException {
            try {
                vm.readChip(chip, buffer);
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
            MemorySegment pic = kvm_irqchip.chip(buffer);
            for (int i = 0; i < values.length; i++) {
                values[i] = offsets[i] < 0 ? 0 : pic.get(ValueLayout.JAVA_BYTE, offsets[i]) & 0xff;
            }
        }

        @Override
        public void describe(StateCodec c) throws StateException {
            for (int i = 0; i < values.length; i++) {
                values[i] = c.u8(NAMES[i], values[i]);
            }
            if (c.loading()) {
                levelTriggered = 0;
            }
            c.subsection(
                    "i8259/ltim",
                    1,
                    levelTriggered != 0,
                    s -> levelTriggered = s.u8("ltim", levelTriggered));
        }

        @Override
        public void afterLoad(int version) throws StateException {
            if (values[SINGLE_MODE] != 0 || levelTriggered != 0) {
                throw new StateException(
                        "the guest uses the interrupt controller in a mode that KVM does not have");
            }
            write();
            if (first != null) {
                // At its own turn the kernel has raised its cascade for what this one still asked
                // for then.
                first.write();
            }
        }

        private void write() throws StateException {
            buffer.fill((byte) 0);
            MemorySegment pic = kvm_irqchip.chip(buffer);
            for (int i = 0; i < values.length; i++) {
                if (offsets[i] >= 0) {
                    pic.set(ValueLayout.JAVA_BYTE, offsets[i], (byte) values[i]);
                }
            }
            kvm_pic_state.elcr_mask(pic, (byte) ELCR_MASKS[chip]);
            try {
                vm.writeChip(chip, buffer);
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
        }
    }

    /** QEMU: vmstate "ioapic" v3. */
    private final class IoApic implements StateSection {
        private int id;
        private int select;
        private int irr;
        private final long[] table = new long[PINS];

        IoApic() {
            Arrays.fill(table, MASKED);
        }

        @Override
        public String name() {
            return "ioapic";
        }

        @Override
        public boolean undoable() {
            return false;
        }

        @Override
        public int version() {
            return 3;
        }

        @Override
        public int minimumVersion() {
            return 1;
        }

        @Override
        public void beforeSave() throws StateException {
            try {
                vm.readChip(KVM_IRQCHIP_IOAPIC(), buffer);
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
            MemorySegment ioapic = kvm_irqchip.chip(buffer);
            id = kvm_ioapic_state.id(ioapic);
            select = kvm_ioapic_state.ioregsel(ioapic);
            irr = kvm_ioapic_state.irr(ioapic);
            for (int i = 0; i < PINS; i++) {
                table[i] =
                        ioapic.get(
                                ValueLayout.JAVA_LONG, kvm_ioapic_state.redirtbl$offset() + i * 8L);
            }
        }

        @Override
        public void describe(StateCodec c) throws StateException {
            id = c.u8("id", id);
            select = c.u8("ioregsel", select);
            if (c.version() >= 2) {
                c.pad("unused", 8);
                irr = c.u32("irr", irr);
            }
            c.u64s("ioredtbl", table);
        }

        @Override
        public void afterLoad(int version) throws StateException {
            buffer.fill((byte) 0);
            MemorySegment ioapic = kvm_irqchip.chip(buffer);
            kvm_ioapic_state.base_address(ioapic, IOAPIC_BASE);
            kvm_ioapic_state.id(ioapic, id);
            kvm_ioapic_state.ioregsel(ioapic, select);
            kvm_ioapic_state.irr(ioapic, version == 1 ? 0 : irr);
            for (int i = 0; i < PINS; i++) {
                redirection(ioapic, i, table[i]);
            }
            try {
                vm.writeChip(KVM_IRQCHIP_IOAPIC(), buffer);
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
        }
    }
}
