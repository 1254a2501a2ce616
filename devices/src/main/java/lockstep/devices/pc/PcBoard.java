package lockstep.devices.pc;

import lockstep.devices.ide.Piix3Ide;
import lockstep.devices.isa.IsaBus;
import lockstep.devices.pci.PciBus;

/** What devices plug into on a PC. The machine publishes it as a service of the Vmm when it is built. */
public interface PcBoard {
    /** The PCI bus {@code pci.0}. */
    PciBus pci();

    /** The IDE function with the buses {@code ide.0} and {@code ide.1}. */
    Piix3Ide ide();

    /** The ISA bus {@code isa.0}. */
    IsaBus isa();

    /** Where option ROMs are found. */
    Firmware firmware();

    /**
     * Enters a device into the boot order that the firmware reads.
     *
     * @param index its {@code bootindex}, unique and not negative
     * @param path the firmware's name for the device, such as {@code /pci@i0cf8/ethernet@3}
     * @throws IllegalArgumentException when the index is taken; the message is for the user
     */
    void boot(int index, String path);
}
