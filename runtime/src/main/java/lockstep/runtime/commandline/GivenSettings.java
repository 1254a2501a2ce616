package lockstep.runtime.commandline;

import lockstep.api.Audiodev;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.process.Settings;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the command line has said so far about the process and its board. Under the machine lock. */
final class GivenSettings implements Settings {
    /** The default of {@code -m}: 128 MiB. */
    static final long DEFAULT_RAM = 128L << 20;

    @Nullable String name;
    boolean debugThreads;
    boolean noDefaults;
    boolean nographic;
    boolean display = true;
    boolean stopped;
    boolean daemonize;
    boolean messageTimestamps;
    boolean messageNames;
    @Nullable String machineType;
    final Map<String, String> machineProperties = new LinkedHashMap<>();
    long ramSize;
    @Nullable String memoryPath;
    boolean memoryPreallocated;
    int cpus = 1;
    final MachineGroups groups = new MachineGroups();
    @Nullable String cpuModel;
    @Nullable String vga;
    @Nullable String incoming;
    @Nullable String savedMachine;
    @Nullable String pidFile;
    byte @Nullable [] uuid;
    final List<String> firmwareDirectories = new ArrayList<>();
    final Map<String, String> rtc = new LinkedHashMap<>();
    final Map<String, String> globals = new LinkedHashMap<>();
    final List<@Nullable Chardev> serials = new ArrayList<>();
    final List<Chardev> parallels = new ArrayList<>();
    final List<Audiodev> soundBackends = new ArrayList<>();
    boolean preconfig;
    boolean serialGiven;
    boolean parallelGiven;

    /** The drivers of {@code -device} and {@code -global}. */
    final Set<String> drivers = new HashSet<>();

    boolean monitorGiven;

    /** With QEMU's defaults. */
    GivenSettings() {}

    @Override
    public boolean defaults() {
        return !noDefaults;
    }

    @Override
    public @Nullable String name() {
        return name;
    }

    @Override
    public byte @Nullable [] uuid() {
        byte[] id = uuid;
        return id == null ? null : id.clone();
    }

    @Override
    public boolean daemonize() {
        return daemonize;
    }

    @Override
    public boolean messageTimestamps() {
        return messageTimestamps;
    }

    @Override
    public boolean messageNames() {
        return messageNames;
    }

    @Override
    public @Nullable String pidFile() {
        return pidFile;
    }

    /** Whether {@code -machine none} was asked for. */
    boolean noMachine() {
        return "none".equals(machineType);
    }

    @Override
    public List<String> firmwareDirectories() {
        return List.copyOf(firmwareDirectories);
    }

    @Override
    public List<Audiodev> soundBackends() {
        return List.copyOf(soundBackends);
    }

    @Override
    public boolean preconfig() {
        return preconfig;
    }

    @Override
    public @Nullable String cpuModel() {
        return cpuModel;
    }

    @Override
    public int cpus() {
        return cpus;
    }

    @Override
    public long ramSize() {
        return ramSize;
    }
}
