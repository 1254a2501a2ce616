package lockstep.runtime.process;

import lockstep.api.Audiodev;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** What the command line says about the process and its board. Under the machine lock. */
public interface Settings {
    /** The guest's name or null. */
    @Nullable String name();

    /** Whether there are default devices. */
    boolean defaults();

    /** The guest's 16-byte id or null. */
    byte @Nullable [] uuid();

    /** Whether the process becomes a daemon. */
    boolean daemonize();

    /** Whether messages begin with the time. */
    boolean messageTimestamps();

    /** Whether messages begin with the guest's name. */
    boolean messageNames();

    /** The file for the process number or null. */
    @Nullable String pidFile();

    /** Directories with firmware, in order of search. */
    List<String> firmwareDirectories();

    /** The back ends for sound of {@code -audiodev}. */
    List<Audiodev> soundBackends();

    /** Whether the machine is only made when a monitor says so. */
    boolean preconfig();

    /** The text of {@code -cpu} or null. */
    @Nullable String cpuModel();

    /** The number of vCPUs at start. */
    int cpus();

    /** Bytes of guest RAM; 0 when {@code -m} gave none and there is no machine that needs some. */
    long ramSize();
}
