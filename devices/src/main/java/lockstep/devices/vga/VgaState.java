package lockstep.devices.vga;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/** The registers on the wire. QEMU: vmstate "vga" v2, the inner structure. */
final class VgaState {
    private VgaState() {}

    /** Describes the 1131 bytes behind the PCI part. */
    static void describe(StateCodec c, VgaChip chip) throws StateException {
        chip.latch = c.u32("latch", chip.latch);
        chip.srIndex = c.u8("sr_index", chip.srIndex);
        c.bytes("sr", chip.sr);
        chip.grIndex = c.u8("gr_index", chip.grIndex);
        c.bytes("gr", chip.gr);
        chip.arIndex = c.u8("ar_index", chip.arIndex);
        c.bytes("ar", chip.ar);
        chip.arFlipFlop = c.i32("ar_flip_flop", chip.arFlipFlop);
        chip.crIndex = c.u8("cr_index", chip.crIndex);
        c.bytes("cr", chip.cr);
        chip.msr = c.u8("msr", chip.msr);
        chip.fcr = c.u8("fcr", chip.fcr);
        chip.st00 = c.u8("st00", chip.st00);
        chip.st01 = c.u8("st01", chip.st01);
        chip.dacState = c.u8("dac_state", chip.dacState);
        chip.dacSubIndex = c.u8("dac_sub_index", chip.dacSubIndex);
        chip.dacReadIndex = c.u8("dac_read_index", chip.dacReadIndex);
        chip.dacWriteIndex = c.u8("dac_write_index", chip.dacWriteIndex);
        c.bytes("dac_cache", chip.dacCache);
        c.bytes("palette", chip.palette);
        chip.bankOffset = c.i32("bank_offset", chip.bankOffset);
        c.equalU8("is_vbe_vmstate", 1);
        chip.vbeIndex = c.u16("vbe_index", chip.vbeIndex);
        c.u16s("vbe_regs", chip.vbe);
        chip.vbeStartAddr = c.u32("vbe_start_addr", chip.vbeStartAddr);
        chip.vbeLineOffset = c.u32("vbe_line_offset", chip.vbeLineOffset);
        chip.vbeBankMask = c.u32("vbe_bank_mask", chip.vbeBankMask);
        // Written only by a guest that asked for a big-endian frame buffer, which has no effect
        // here.
        c.subsection("vga.endian", 1, false, s -> s.bool("big_endian_fb", false));
        if (c.loading()) {
            if (chip.dacSubIndex > 2) {
                throw c.invalid("vga: dac_sub_index " + chip.dacSubIndex + " is beyond 2");
            }
            if (chip.bankOffset < 0 || (chip.bankOffset & 0xffff) != 0) {
                throw c.invalid("vga: bank_offset " + chip.bankOffset + " is no bank");
            }
            chip.bankOffset &= chip.vbeBankMask << 16;
        }
    }
}
