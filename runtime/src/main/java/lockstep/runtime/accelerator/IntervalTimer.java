package lockstep.runtime.accelerator;

import lockstep.runtime.vmstate.StateSection;

/** The PC's 8254, its section and its pins, as the chips around it see them. Under the machine lock. */
public interface IntervalTimer extends StateSection, RunSwitch {
    /** Level of a channel's output pin, 0 to 2. */
    boolean output(int channel);

    /** Level of a channel's gate pin. */
    boolean gate(int channel);

    /** Drives a channel's gate pin; port 0x61 drives that of channel 2. */
    void gate(int channel, boolean level);

    /** Takes interrupt 0 from channel 0, for the HPET, or gives it back. */
    void replaced(boolean replaced);

    /** The state after power-on, as firmware expects it: square waves of the longest period. */
    void reset() throws AcceleratorException;
}
