package lockstep.runtime.migration;

import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.vmstate.EndOfStateException;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateRegistry;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads the items of a migration stream into the machine. One loader serves a session, COLO's checkpoints
 * included: the sender's section ids and the current RAM block outlive a single item list. The bytes come
 * from outside; whatever they are, the result is a loaded section or an exception.
 *
 * <p>Called by the loading thread. Sections are loaded under the machine lock, which is the caller's
 * affair through {@link Locker}.
 */
final class StreamLoader {
    /** The longest description at the end that is read; the largest real one is about 200 KiB. */
    private static final int LONGEST_DESCRIPTION = 16 << 20;

    private static final int LONGEST_MACHINE_NAME = 1024;

    /** What the session does about commands in the stream. */
    interface Commands {
        /** The sender wants messages on the way back. */
        void openReturnPath() throws IOException;

        /** The sender wants {@code value} back. */
        void ping(int value) throws IOException;

        /** The sender goes on with COLO behind this migration. */
        void enableColo() throws IOException;
    }

    /** Runs the loading of one device section; holds the machine lock meanwhile. */
    interface Locker {
        /** Runs {@code body} under the lock. */
        void load(Load body) throws StateException;
    }

    /** The loading of one section. */
    interface Load {
        /** Loads it. */
        void run() throws StateException;
    }

    /** How a device takes its section. */
    private interface Taking {
        /** Loads it. */
        void load(LoadingCodec codec, StateSection section, int version) throws StateException;
    }

    private final String machineType;
    private final StateRegistry registry;
    private final RamLoader ram;
    private final Commands commands;
    private final Locker locker;
    private final Map<Integer, String> live = new HashMap<>();
    private boolean sendsChanges;
    private Taking taking = LoadingCodec::content;
    private BitmapHandover.@Nullable Receiving bitmaps;

    StreamLoader(
            String machineType,
            StateRegistry registry,
            RamLoader ram,
            Commands commands,
            Locker locker) {
        this.machineType = machineType;
        this.registry = registry;
        this.ram = ram;
        this.commands = commands;
        this.locker = locker;
    }

    /** Has dirty bitmaps taken by that. */
    void takeBitmaps(BitmapHandover.@Nullable Receiving receiving) {
        bitmaps = receiving;
    }

    /** Reads magic, version and configuration. */
    void header(StateInput in) throws IOException {
        int magic = in.u32();
        if (magic != StreamFormat.MAGIC) {
            throw new LoadException(
                    LoadException.Kind.INVALID,
                    "Not a migration stream, magic: %x != %x".formatted(magic, StreamFormat.MAGIC));
        }
        int version = in.u32();
        if (version == 2) {
            throw new LoadException(
                    LoadException.Kind.UNSUPPORTED,
                    "SaveVM v2 format is obsolete and no longer supported");
        }
        if (version != StreamFormat.VERSION) {
            throw new LoadException(
                    LoadException.Kind.UNSUPPORTED,
                    "Unsupported migration stream version, file version %x != %x"
                            .formatted(version, StreamFormat.VERSION));
        }
        int type = in.u8();
        if (type != StreamFormat.CONFIGURATION) {
            throw new LoadException(
                    LoadException.Kind.INVALID,
                    "Configuration section missing, %x != 7".formatted(type));
        }
        configuration(in);
    }

    private void configuration(StateInput in) throws IOException {
        int length = in.u32();
        if (Integer.compareUnsigned(length, LONGEST_MACHINE_NAME) > 0) {
            throw invalid("The machine type's name in the stream is too long");
        }
        byte[] name = new byte[length];
        in.bytes(name);
        String theirs = new String(name, StandardCharsets.ISO_8859_1);
        List<String> notes = new ArrayList<>();
        while (in.peek(0) == StreamFormat.SUBSECTION) {
            in.u8();
            String subsection = in.name();
            in.u32();
            switch (subsection) {
                case "configuration/target-page-bits" -> {
                    int bits = in.u32();
                    if (bits != 12) {
                        notes.add("Received TARGET_PAGE_BITS is " + bits + " but local is 12");
                    }
                }
                case "configuration/capabilities" -> {
                    int count = in.u32();
                    if (Integer.compareUnsigned(count, 64) > 0) {
                        throw invalid("Too many capabilities in the configuration section");
                    }
                    for (int i = 0; i < count; i++) {
                        notes.add(
                                "Capability "
                                        + in.name()
                                        + " is off, but received capability is on");
                    }
                }
                case "configuration/uuid" -> in.skip(16);
                default ->
                        throw invalid(
                                "VM subsection '%s' in 'configuration' does not exist"
                                        .formatted(subsection));
            }
        }
        if (!theirs.equals(machineType)) {
            notes.add(
                    "Machine type received is '%s' and local is '%s'"
                            .formatted(theirs, machineType));
        }
        if (!notes.isEmpty()) {
            throw new LoadException(
                    LoadException.Kind.INVALID,
                    "post load hook failed for: configuration, version_id: 1, minimum_version: 0,"
                            + " ret: -22",
                    notes);
        }
    }

    /** Is told that the sender's guest has stopped, before the last part of its RAM is read. */
    interface Stopped {
        /** Does what is to be done then. */
        void run() throws IOException;
    }

    /** Reads items up to the end mark. */
    void items(StateInput in) throws IOException {
        String last = "";
        while (true) {
            int type = type(in, last);
            switch (type) {
                case StreamFormat.EOF -> {
                    return;
                }
                case StreamFormat.START, StreamFormat.FULL -> last = full(in, type);
                case StreamFormat.PART, StreamFormat.END -> last = part(in);
                case StreamFormat.COMMAND -> command(in);
                default -> throw invalid("Unknown section type " + type);
            }
        }
    }

    private static int type(StateInput in, String last) throws IOException {
        try {
            return in.u8();
        } catch (EndOfStateException e) {
            throw new LoadException(
                    LoadException.Kind.IO,
                    "Failed to load section ID: stream error: -5: the stream ended behind "
                            + (last.isEmpty() ? "its start" : last));
        }
    }

    /**
     * Reads the description behind the end mark, of which only the end counts. Returns a complaint for the user, or null.
     */
    @Nullable String description(StateInput in) throws IOException {
        int type = in.u8();
        if (type != StreamFormat.DESCRIPTION) {
            return "Expected vmdescription section, but got " + type;
        }
        int length = in.u32();
        if (Integer.compareUnsigned(length, LONGEST_DESCRIPTION) > 0) {
            throw invalid("The description at the stream's end is too long");
        }
        byte[] end = (StreamFormat.SENDS_CHANGES + "}").getBytes(StandardCharsets.US_ASCII);
        byte[] theirs = new byte[Math.min(length, end.length)];
        in.skip(length - theirs.length);
        in.bytes(theirs);
        sendsChanges = Arrays.equals(theirs, end);
        return null;
    }

    /** Whether the sender said that it can send {@link DeviceChanges}. */
    boolean sendsChanges() {
        return sendsChanges;
    }

    private String full(StateInput in, int type) throws IOException {
        int id = in.u32();
        String name = in.name();
        int instance = in.u32();
        int version = in.u32();
        if (type == StreamFormat.START && name.equals(RamSource.NAME) && instance == 0) {
            if (version != RamSource.VERSION) {
                throw invalid(
                        "unsupported version %d for 'ram' v%d"
                                .formatted(version & 0xffff_ffffL, RamSource.VERSION));
            }
            live.put(id, name);
            ram(in, true);
        } else if (type == StreamFormat.START
                && bitmaps != null
                && name.equals(BitmapHandover.SECTION)
                && instance == 0) {
            if (version != BitmapHandover.VERSION) {
                throw invalid(
                        "unsupported version %d for '%s' v%d"
                                .formatted(version & 0xffff_ffffL, name, BitmapHandover.VERSION));
            }
            live.put(id, name);
            bitmaps(in, bitmaps);
        } else {
            StateSection section = find(name, instance);
            if (section == null) {
                throw invalid(
                        ("Unknown section or instance '%s' %d. Make sure that your current VM setup"
                             + " matches your saved VM setup, including any hotplugged devices")
                                .formatted(name, instance));
            }
            device(in, section, name, instance, version);
        }
        footer(in, id, name);
        return name;
    }

    private void device(StateInput in, StateSection section, String name, int instance, int version)
            throws StateException {
        if (Integer.compareUnsigned(version, section.version()) > 0) {
            throw invalid(
                    "unsupported version %d for '%s' v%d"
                            .formatted(version & 0xffff_ffffL, name, section.version()));
        }
        if (version < section.minimumVersion()) {
            throw invalid(
                    "%s: incoming version_id %d is too old for local minimum version_id %d"
                            .formatted(name, version, section.minimumVersion()));
        }
        LoadingCodec codec = new LoadingCodec(in);
        try {
            locker.load(() -> taking.load(codec, section, version));
        } catch (StateException e) {
            throw deviceError(e, name, instance);
        } catch (RuntimeException e) {
            // A device that trips over what a peer sent must not take the loading thread with it.
            throw deviceError(new StateException("invalid content: " + e, e), name, instance);
        }
    }

    private static LoadException deviceError(StateException e, String name, int instance) {
        String prefix =
                "error while loading state for instance 0x%x of device '%s': "
                        .formatted(instance, name);
        if (e instanceof EndOfStateException) {
            String vmsd = name.substring(name.lastIndexOf('/') + 1);
            return new LoadException(
                    LoadException.Kind.IO,
                    prefix + "Failed to load " + vmsd + " state: stream error: -5");
        }
        LoadException.Kind kind =
                String.valueOf(e.getMessage()).startsWith("VM subsection")
                        ? LoadException.Kind.NOT_FOUND
                        : LoadException.Kind.INVALID;
        return new LoadException(kind, prefix + e.getMessage());
    }

    private @Nullable StateSection find(String name, int instance) {
        StateSection exact = registry.find(name, instance);
        if (exact != null) {
            return exact;
        }
        // Old senders leave the bus path out and number the devices instead.
        int n = 0;
        for (StateSection section : registry.sections()) {
            String ours = section.name();
            int slash = ours.lastIndexOf('/');
            if (slash >= 0 && ours.substring(slash + 1).equals(name) && n++ == instance) {
                return section;
            }
        }
        return null;
    }

    /**
     * Reads the live part of a checkpoint, pages and nothing else, up to the end mark: a device section there would
     * reach the running guest.
     */
    void pages(StateInput in, Stopped stopped) throws IOException {
        String last = "";
        while (true) {
            int type = type(in, last);
            switch (type) {
                case StreamFormat.EOF -> {
                    return;
                }
                case StreamFormat.PART -> last = part(in);
                case StreamFormat.END -> {
                    stopped.run();
                    last = part(in);
                }
                case StreamFormat.COMMAND -> {
                    int command = in.u16();
                    if (command != StreamFormat.COMMAND_SWITCHOVER_START) {
                        throw invalid("Command %d in a checkpoint".formatted(command));
                    }
                    expect(COMMAND_NAMES[command], 0, in.u16());
                }
                default -> throw invalid("Section type " + type + " among a checkpoint's pages");
            }
        }
    }

    /**
     * Reads the device sections of a checkpoint, up to the end mark. Under the machine lock.
     *
     * @param trial only to see whether they are taken; see {@link LoadingCodec#trial}
     */
    void devices(StateInput in, boolean trial) throws IOException {
        Taking usual = taking;
        taking = trial ? LoadingCodec::trial : LoadingCodec::read;
        try {
            String last = "";
            while (true) {
                int type = type(in, last);
                if (type == StreamFormat.EOF) {
                    return;
                }
                if (type != StreamFormat.FULL) {
                    throw invalid("Section type " + type + " among a checkpoint's devices");
                }
                last = full(in, type);
            }
        } finally {
            taking = usual;
        }
    }

    private String part(StateInput in) throws IOException {
        int id = in.u32();
        String name = live.get(id);
        if (name == null) {
            throw invalid("Unknown section " + (id & 0xffff_ffffL));
        }
        BitmapHandover.Receiving receiving = bitmaps;
        if (receiving != null && name.equals(BitmapHandover.SECTION)) {
            bitmaps(in, receiving);
        } else {
            ram(in, false);
        }
        footer(in, id, name);
        return name;
    }

    private void bitmaps(StateInput in, BitmapHandover.Receiving receiving) throws IOException {
        try {
            locker.load(
                    () -> {
                        try {
                            receiving.load(in);
                        } catch (StateException e) {
                            throw e;
                        } catch (IOException e) {
                            throw new StateException("stream error: " + e.getMessage(), e);
                        }
                    });
        } catch (StateException e) {
            throw deviceError(e, BitmapHandover.SECTION, 0);
        } catch (RuntimeException e) {
            // As with a device.
            throw deviceError(
                    new StateException("invalid content: " + e, e), BitmapHandover.SECTION, 0);
        }
    }

    private void ram(StateInput in, boolean lengths) throws IOException {
        try {
            ram.load(in, lengths);
        } catch (EndOfStateException e) {
            throw new LoadException(
                    LoadException.Kind.IO, "Failed to load vmstate version_id: 4, ret: -5");
        }
    }

    private static void footer(StateInput in, int id, String name) throws IOException {
        int type = in.u8();
        String note;
        if (type != StreamFormat.FOOTER) {
            note = "Missing section footer for " + name;
        } else {
            int theirs = in.u32();
            if (theirs == id) {
                return;
            }
            note =
                    "Mismatched section id in footer for %s - read 0x%x expected 0x%x"
                            .formatted(name, theirs, id);
        }
        throw new LoadException(
                LoadException.Kind.INVALID,
                "Section footer error, section_id: " + (id & 0xffff_ffffL),
                List.of(note));
    }

    private static final String[] COMMAND_NAMES = {
        "INVALID",
        "OPEN_RETURN_PATH",
        "PING",
        "POSTCOPY_ADVISE",
        "POSTCOPY_LISTEN",
        "POSTCOPY_RUN",
        "POSTCOPY_RAM_DISCARD",
        "PACKAGED",
        "ENABLE_COLO",
        "POSTCOPY_RESUME",
        "RECV_BITMAP",
        "SWITCHOVER_START"
    };

    private void command(StateInput in) throws IOException {
        int command = in.u16();
        int length = in.u16();
        if (command == 0 || command >= COMMAND_NAMES.length) {
            throw invalid("MIG_CMD 0x%x unknown (len 0x%x)".formatted(command, length));
        }
        if (command == StreamFormat.COMMAND_POSTCOPY_ADVISE && length == 0) {
            // The sender could send its dirty bitmaps behind the switchover; if it does so it says
            // so.
            return;
        }
        String name = COMMAND_NAMES[command];
        switch (command) {
            case StreamFormat.COMMAND_OPEN_RETURN_PATH -> {
                expect(name, 0, length);
                commands.openReturnPath();
            }
            case StreamFormat.COMMAND_PING -> {
                expect(name, 4, length);
                commands.ping(in.u32());
            }
            case StreamFormat.COMMAND_ENABLE_COLO -> {
                expect(name, 0, length);
                commands.enableColo();
            }
            case StreamFormat.COMMAND_SWITCHOVER_START -> expect(name, 0, length);
            default ->
                    throw new LoadException(
                            LoadException.Kind.UNSUPPORTED,
                            "The sender uses postcopy migration (command "
                                    + name
                                    + "), which is not supported; switch its postcopy"
                                    + " capabilities off");
        }
    }

    private static void expect(String name, int expected, int length) throws LoadException {
        if (length != expected) {
            throw new LoadException(
                    LoadException.Kind.RANGE,
                    "%s received with bad length - expecting %d, got %d"
                            .formatted(name, expected, length));
        }
    }

    private static LoadException invalid(String message) {
        return new LoadException(LoadException.Kind.INVALID, message);
    }
}
