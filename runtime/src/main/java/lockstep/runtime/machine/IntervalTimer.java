package lockstep.runtime.machine;

/** The PC's 8254 as the chips around it see it. Under the machine lock. */
public interface IntervalTimer {
    /** Level of a channel's output pin, 0 to 2. */
    boolean output(int channel);

    /** Level of a channel's gate pin. */
    boolean gate(int channel);

    /** Drives a channel's gate pin; port 0x61 drives that of channel 2. */
    void gate(int channel, boolean level);
}
