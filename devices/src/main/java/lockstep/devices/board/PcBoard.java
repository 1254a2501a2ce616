package lockstep.devices.board;

import lockstep.devices.isa.IsaBus;
import lockstep.devices.pci.PciBus;
import lockstep.runtime.accelerator.CoreMachine;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.Sleep;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.MachineConfig;

/**
 * What devices find on a PC, be they parts of the board or users' own. The machine publishes it as a service of the
 * Vmm before its first part is made.
 */
public interface PcBoard {
    /** The board of the machine that a device is made for. */
    static PcBoard of(DeviceScope scope) {
        return of(scope.machine());
    }

    /** The board around a machine. */
    static PcBoard of(Machine machine) {
        return machine.service(PcBoard.class);
    }

    /** The accelerator's machine. */
    CoreMachine core();

    /** What the command line says. */
    MachineConfig config();

    /** Bytes of RAM below 4 GiB, where the PCI window begins. */
    long below4G();

    /** The PCI bus {@code pci.0}. */
    PciBus pci();

    /** The ISA bus {@code isa.0}. */
    IsaBus isa();

    /** Where option ROMs are found. */
    Firmware firmware();

    /** The boot order that the firmware reads. */
    BootOrder bootOrder();

    /** What its parts tell the guest by ACPI. */
    AcpiTerms acpi();

    /** The part of that class, which every board has. */
    <D> D part(Class<D> kind);

    /**
     * The address of a chip of flash: below the last one, the first one's end at 4 GiB. The end of the first one also
     * appears below 1 MiB.
     */
    long placeFlash(RamBlock chip);

    /** The firmware that the guest finds in memory or fetches, a line each. */
    String describeRoms();

    /** Where the first part of that type is in the object tree; empty if there is none. */
    String pathOf(String type);

    /** Resets the machine, soon. */
    void requestReset();

    /** Switches the machine off, soon. */
    void requestPowerOff();

    /** Sends the guest to sleep with its RAM kept, soon. */
    void requestSleep();

    /** The guest has saved itself to its disk: switches the machine off, soon. */
    void requestSleepToDisk();

    /** Wakes the guest, soon, if it sleeps and the reason is one that it wants to be woken for. */
    void wakeUp(Sleep.Reason reason);
}
