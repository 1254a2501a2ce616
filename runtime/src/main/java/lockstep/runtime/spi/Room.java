package lockstep.runtime.spi;

/**
 * A module that plugs into the runtime: block, net, devices, colo. Found by ServiceLoader, installed once
 * before the command line is acted on; it registers its object, device and machine types, command-line
 * options, QMP and HMP commands, and publishes its services.
 */
public interface Room {
    /** Registers everything the module offers. Must not start anything. */
    void install(Vmm vmm);

    /** Rooms are installed by ascending order: block 10, net 20, devices 30, colo 40. */
    int order();
}
