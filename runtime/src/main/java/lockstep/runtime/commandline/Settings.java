package lockstep.runtime.commandline;

import lockstep.runtime.chardev.Chardev;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the command line has said so far about the process and its board. Under the machine lock. */
public final class Settings {
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
    final List<String> accelerators = new ArrayList<>();
    long ramSize;
    @Nullable String memoryPath;
    boolean memoryPreallocated;
    CpuTopology topology = CpuTopology.ONE;
    @Nullable String cpuModel;
    @Nullable String bios;
    @Nullable String vga;
    @Nullable String incoming;
    @Nullable String pidFile;
    byte @Nullable [] uuid;
    final List<String> firmwareDirectories = new ArrayList<>();
    final Map<String, String> boot = new LinkedHashMap<>();
    final Map<String, String> rtc = new LinkedHashMap<>();
    final Map<String, String> globals = new LinkedHashMap<>();
    final List<@Nullable Chardev> serials = new ArrayList<>();
    final List<Chardev> parallels = new ArrayList<>();
    boolean serialGiven;
    boolean parallelGiven;

    /** The drivers of {@code -device} and {@code -global}. */
    final Set<String> drivers = new HashSet<>();

    boolean monitorGiven;

    /** With QEMU's defaults. */
    public Settings() {}

    /** The guest's name or null. */
    public @Nullable String name() {
        return name;
    }

    /** The guest's 16-byte id or null. */
    public byte @Nullable [] uuid() {
        byte[] id = uuid;
        return id == null ? null : id.clone();
    }

    /** Whether the process becomes a daemon. */
    public boolean daemonize() {
        return daemonize;
    }

    /** Whether messages begin with the time. */
    public boolean messageTimestamps() {
        return messageTimestamps;
    }

    /** Whether messages begin with the guest's name. */
    public boolean messageNames() {
        return messageNames;
    }

    /** The file for the process number or null. */
    public @Nullable String pidFile() {
        return pidFile;
    }

    /** Whether {@code -machine none} was asked for. */
    public boolean noMachine() {
        return "none".equals(machineType);
    }

    /** Names of accelerators in order of preference. */
    public List<String> accelerators() {
        return List.copyOf(accelerators);
    }

    /** Directories with firmware, in order of search. */
    public List<String> firmwareDirectories() {
        return List.copyOf(firmwareDirectories);
    }

    /** The text of {@code -cpu} or null. */
    public @Nullable String cpuModel() {
        return cpuModel;
    }

    /** The number of vCPUs at start. */
    public int cpus() {
        return topology.cpus();
    }

    /** Bytes of guest RAM; 0 when {@code -m} gave none and there is no machine that needs some. */
    public long ramSize() {
        return ramSize;
    }

    /** Whether {@code -global} and the like gave {@code driver.property}. */
    public Map<String, String> globals() {
        return Map.copyOf(globals);
    }
}
