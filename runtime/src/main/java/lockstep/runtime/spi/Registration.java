package lockstep.runtime.spi;

import lockstep.api.ObjectOptions;
import lockstep.qmp.CommandTable;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.object.QomType;
import lockstep.runtime.option.OptionHandler;

/** What a room registers what it offers with, from {@link Room#install}. */
public interface Registration {
    /** The QMP commands. */
    CommandTable commands();

    /** Offers a type of {@code -object} and object-add. */
    <O extends ObjectOptions> void objectType(
            QomType<?> type, Class<O> options, ObjectFactory<O> factory);

    /** Offers a device driver to {@code -device} and device_add. */
    void deviceType(DeviceType<?> type);

    /** Offers an accelerator. */
    void acceleratorType(AcceleratorType type);

    /** Offers a board. */
    void machineType(MachineType<?> type);

    /** Offers a command-line option. */
    void option(OptionHandler handler);

    /** Gives a room a part in the end of the process, before those that were registered earlier. */
    void onExit(Ending ending);
}
