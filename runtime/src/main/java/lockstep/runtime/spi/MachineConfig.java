package lockstep.runtime.spi;

import lockstep.runtime.chardev.Chardev;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the command line says about the board.
 *
 * @param type the name as given or the default's
 * @param ramSize bytes of guest RAM
 * @param cpus number of vCPUs at start
 * @param cpuModel {@code -cpu} text, such as {@code qemu64,kvmclock=on}, or null
 * @param bios the firmware's file name or null
 * @param firmwareDirectories where firmware is looked for, the first match wins ({@code -L} first)
 * @param serials the chardevs of the serial ports in order; null leaves a port out
 * @param parallels the chardevs of the parallel ports
 * @param graphics false under {@code -nographic}
 * @param vga {@code -vga} or null for the board's own choice
 * @param defaults false under {@code -nodefaults}: no default serial, net, CD-ROM, VGA
 * @param drivers what {@code -device} and {@code -global} name; the board leaves out its own default of a
 *     kind that the user brings
 * @param boot {@code -boot} as keys and values; the order is under {@code order}
 * @param rtc {@code -rtc} as keys and values
 * @param uuid 16 bytes, or null when none was given
 * @param name the guest's name or null
 * @param globals {@code -global} as {@code driver.property} to value
 */
public record MachineConfig(
        String type,
        long ramSize,
        int cpus,
        @Nullable String cpuModel,
        @Nullable String bios,
        List<String> firmwareDirectories,
        List<@Nullable Chardev> serials,
        List<Chardev> parallels,
        boolean graphics,
        @Nullable String vga,
        boolean defaults,
        Set<String> drivers,
        Map<String, String> boot,
        Map<String, String> rtc,
        byte @Nullable [] uuid,
        @Nullable String name,
        Map<String, String> globals) {
    /** Whether the board brings a default device, which none of {@code drivers} replaces. */
    public boolean byDefault(String... replacements) {
        return defaults && List.of(replacements).stream().noneMatch(drivers::contains);
    }
}
