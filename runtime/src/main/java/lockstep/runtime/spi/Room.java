package lockstep.runtime.spi;

/**
 * A module that plugs into the runtime: block, net, devices, colo. Found by ServiceLoader, installed once
 * before the command line is acted on.
 */
public interface Room {
    /** Registers everything the module offers, and publishes its services. Must not start anything. */
    void install(Registration offer, Vmm vmm);

    /** Rooms are installed by ascending order: block 10, net 20, devices 30, colo 40. */
    int order();
}
