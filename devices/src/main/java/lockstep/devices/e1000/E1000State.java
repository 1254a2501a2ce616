package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;

import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/** The chip on the wire. QEMU: vmstate "e1000" v2 with its three subsections, 198785 bytes in all. */
final class E1000State {
    /** The registers that travel by name, in their order. */
    private static final int[] NAMED = {
        CTRL, EECD, EERD, GPRC, GPTC, ICR, ICS, IMC, IMS, LEDCTL, MANC, MDIC, MPC, PBA, RCTL, RDBAH,
        RDBAL, RDH, RDLEN, RDT, STATUS, SWSM, TCTL, TDBAH, TDBAL, TDH, TDLEN, TDT, TORH, TORL, TOTH,
        TOTL, TPR, TPT, TXDCTL, WUFC, VET
    };

    private static final String[] NAMES = {
        "CTRL", "EECD", "EERD", "GPRC", "GPTC", "ICR", "ICS", "IMC", "IMS", "LEDCTL", "MANC",
        "MDIC", "MPC", "PBA", "RCTL", "RDBAH", "RDBAL", "RDH", "RDLEN", "RDT", "STATUS", "SWSM",
        "TCTL", "TDBAH", "TDBAL", "TDH", "TDLEN", "TDT", "TORH", "TORL", "TOTH", "TOTL", "TPR",
        "TPT", "TXDCTL", "WUFC", "VET"
    };

    private E1000State() {}

    /** Describes what follows the PCI part. */
    static void describe(StateCodec c, E1000Chip chip) throws StateException {
        Transmitter tx = chip.transmitter;
        Receiver rx = chip.receiver;
        Eeprom eeprom = chip.eeprom;
        int[] r = chip.registers;
        c.pad("unused[1]", 4);
        rx.bufferSize = c.u32("rxbuf_size", rx.bufferSize);
        rx.minimumShift = c.u32("rxbuf_min_shift", rx.minimumShift);
        eeprom.valIn = c.u32("eecd_state.val_in", eeprom.valIn);
        eeprom.bitnumIn = c.u16("eecd_state.bitnum_in", eeprom.bitnumIn);
        eeprom.bitnumOut = c.u16("eecd_state.bitnum_out", eeprom.bitnumOut);
        eeprom.reading = c.u16("eecd_state.reading", eeprom.reading);
        eeprom.oldEecd = c.u32("eecd_state.old_eecd", eeprom.oldEecd);
        Offload plain = tx.plain;
        plain.ipcss = c.u8("mig_props.ipcss", plain.ipcss);
        plain.ipcso = c.u8("mig_props.ipcso", plain.ipcso);
        plain.ipcse = c.u16("mig_props.ipcse", plain.ipcse);
        plain.tucss = c.u8("mig_props.tucss", plain.tucss);
        plain.tucso = c.u8("mig_props.tucso", plain.tucso);
        plain.tucse = c.u16("mig_props.tucse", plain.tucse);
        plain.paylen = c.u32("mig_props.paylen", plain.paylen);
        plain.hdrLen = c.u8("mig_props.hdr_len", plain.hdrLen);
        plain.mss = c.u16("mig_props.mss", plain.mss);
        tx.size = c.u16("tx.size", tx.size);
        tx.segments = c.u16("tx.tso_frames", tx.segments);
        tx.sumNeeded = c.u8("tx.sum_needed", tx.sumNeeded);
        plain.ip = c.i8("mig_props.ip", plain.ip ? 1 : 0) != 0;
        plain.tcp = c.i8("mig_props.tcp", plain.tcp ? 1 : 0) != 0;
        c.bytes("tx.header", tx.header);
        c.bytes("tx.data", tx.data);
        c.u16s("eeprom_data", eeprom.words);
        c.u16s("phy_reg", chip.phy.registers);
        for (int i = 0; i < NAMED.length; i++) {
            r[NAMED[i]] = c.u32("mac_reg[" + NAMES[i] + "]", r[NAMED[i]]);
        }
        range(c, "mac_reg[0]", r, RA, RA_COUNT);
        range(c, "mac_reg[1]", r, MTA, MTA_COUNT);
        range(c, "mac_reg[2]", r, VFTA, VFTA_COUNT);
        c.subsection("e1000/mit_state", 1, true, s -> mitigation(s, chip));
        c.subsection("e1000/full_mac_state", 1, true, s -> s.u32s("mac_reg", r));
        boolean found = c.subsection("e1000/tx_tso_state", 1, true, s -> large(s, tx.large));
        if (c.loading()) {
            if (!found) {
                tx.large.reset();
            }
            check(c, chip);
        }
    }

    private static void range(StateCodec c, String name, int[] registers, int first, int count)
            throws StateException {
        int[] part = new int[count];
        System.arraycopy(registers, first, part, 0, count);
        c.u32s(name, part);
        System.arraycopy(part, 0, registers, first, count);
    }

    private static void mitigation(StateCodec s, E1000Chip chip) throws StateException {
        int[] r = chip.registers;
        r[RDTR] = s.u32("mac_reg[RDTR]", r[RDTR]);
        r[RADV] = s.u32("mac_reg[RADV]", r[RADV]);
        r[TADV] = s.u32("mac_reg[TADV]", r[TADV]);
        r[ITR] = s.u32("mac_reg[ITR]", r[ITR]);
        chip.irqLevel = s.bool("mit_irq_level", chip.irqLevel);
    }

    private static void large(StateCodec s, Offload o) throws StateException {
        o.ipcss = s.u8("tx.tso_props.ipcss", o.ipcss);
        o.ipcso = s.u8("tx.tso_props.ipcso", o.ipcso);
        o.ipcse = s.u16("tx.tso_props.ipcse", o.ipcse);
        o.tucss = s.u8("tx.tso_props.tucss", o.tucss);
        o.tucso = s.u8("tx.tso_props.tucso", o.tucso);
        o.tucse = s.u16("tx.tso_props.tucse", o.tucse);
        o.paylen = s.u32("tx.tso_props.paylen", o.paylen);
        o.hdrLen = s.u8("tx.tso_props.hdr_len", o.hdrLen);
        o.mss = s.u16("tx.tso_props.mss", o.mss);
        o.ip = s.i8("tx.tso_props.ip", o.ip ? 1 : 0) != 0;
        o.tcp = s.i8("tx.tso_props.tcp", o.tcp ? 1 : 0) != 0;
    }

    /** What indexes or sizes something has to be in range. */
    private static void check(StateCodec c, E1000Chip chip) throws StateException {
        Receiver rx = chip.receiver;
        if (rx.bufferSize < 0 || rx.bufferSize > 16384) {
            throw c.invalid("e1000: rxbuf_size " + rx.bufferSize + " is beyond 16384");
        }
        if (rx.minimumShift < 0 || rx.minimumShift > 4) {
            throw c.invalid("e1000: rxbuf_min_shift " + rx.minimumShift + " is beyond 4");
        }
        int[] r = chip.registers;
        for (int register : new int[] {RDH, RDT, TDH, TDT}) {
            r[register] &= 0xffff;
        }
        r[RDLEN] &= 0xfff80;
        r[TDLEN] &= 0xfff80;
        for (int register : new int[] {ITR, RADV, TADV, RDTR}) {
            r[register] &= 0xffff;
        }
    }
}
