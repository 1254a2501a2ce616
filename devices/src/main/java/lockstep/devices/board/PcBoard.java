package lockstep.devices.board;

import lockstep.devices.isa.IsaBus;
import lockstep.devices.pci.PciBus;

/** What devices plug into on a PC. The machine publishes it as a service of the Vmm when it is built. */
public interface PcBoard {
    /** The PCI bus {@code pci.0}. */
    PciBus pci();

    /** The ISA bus {@code isa.0}. */
    IsaBus isa();

    /** Where option ROMs are found. */
    Firmware firmware();

    /** The boot order that the firmware reads. */
    BootOrder bootOrder();
}
