package lockstep.runtime.migration;

import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateRegistry;
import lockstep.runtime.vmstate.StateSection;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Writes the items of a migration stream. Section ids stay the same for the saver's life, so that a COLO
 * session can go on with those of its migration. Used by the migration thread; {@link #devices} under the
 * machine lock.
 */
final class StreamSaver {
    /** QEMU gives ids in order of registration, {@code timer} before {@code ram}; any unique ones do. */
    private static final int RAM_ID = 2;

    private static final int BITMAPS_ID = 1;
    private static final int BITMAPS_PIECE = 1 << 16;
    private static final byte[] BITMAPS =
            BitmapHandover.SECTION.getBytes(StandardCharsets.US_ASCII);

    private static final byte[] RAM = RamSource.NAME.getBytes(StandardCharsets.US_ASCII);

    private final String machineType;
    private final StateRegistry registry;
    private final RamSource ram;
    private final Map<StateSection, Integer> ids = new IdentityHashMap<>();
    private int nextId = RAM_ID + 1;

    StreamSaver(String machineType, StateRegistry registry, RamSource ram) {
        this.machineType = machineType;
        this.registry = registry;
        this.ram = ram;
    }

    /** Magic, version and configuration. */
    void header(StreamOutput out) throws IOException {
        out.u32(StreamFormat.MAGIC);
        out.u32(StreamFormat.VERSION);
        out.u8(StreamFormat.CONFIGURATION);
        byte[] type = machineType.getBytes(StandardCharsets.US_ASCII);
        out.u32(type.length);
        out.bytes(type, 0, type.length);
    }

    /** A command without payload. */
    void command(StreamOutput out, int command) throws IOException {
        out.u8(StreamFormat.COMMAND);
        out.u16(command);
        out.u16(0);
    }

    /** The command that asks for an answer with {@code value} on the return path. */
    void ping(StreamOutput out, int value) throws IOException {
        out.u8(StreamFormat.COMMAND);
        out.u16(StreamFormat.COMMAND_PING);
        out.u16(4);
        out.u32(value);
    }

    /** Announces the switchover if receivers of this machine type know the command. */
    void switchoverStart(StreamOutput out) throws IOException {
        if (StreamFormat.announcesSwitchover(machineType)) {
            command(out, StreamFormat.COMMAND_SWITCHOVER_START);
        }
    }

    /** The START section of RAM. */
    void ramStart(StreamOutput out) throws IOException {
        out.u8(StreamFormat.START);
        out.u32(RAM_ID);
        out.name(RAM);
        out.u32(0);
        out.u32(RamSource.VERSION);
        ram.writeBlockList(out);
        footer(out, RAM_ID);
    }

    /** A PART section of RAM. Arguments as in {@link RamSource#writePages}. */
    void ramPart(StreamOutput out, long deadline, long limit) throws IOException {
        out.u8(StreamFormat.PART);
        out.u32(RAM_ID);
        ram.writePages(out, deadline, limit);
        footer(out, RAM_ID);
    }

    /** A PART section with everything that is dirty. */
    void ramPart(StreamOutput out) throws IOException {
        out.u8(StreamFormat.PART);
        out.u32(RAM_ID);
        ram.writeAllPages(out);
        footer(out, RAM_ID);
    }

    /** The END section of RAM: everything that is still dirty; the caller has collected the log. */
    void ramEnd(StreamOutput out) throws IOException {
        beginRamEnd(out);
        finishRamEnd(out);
    }

    /** The beginning of that section. */
    void beginRamEnd(StreamOutput out) throws IOException {
        out.u8(StreamFormat.END);
        out.u32(RAM_ID);
    }

    /** The rest of it. */
    void finishRamEnd(StreamOutput out) throws IOException {
        ram.writeAllPages(out);
        footer(out, RAM_ID);
    }

    /** The START section of dirty bitmaps. */
    void bitmapsStart(StreamOutput out, BitmapHandover.Sending bitmaps) throws IOException {
        out.u8(StreamFormat.START);
        out.u32(BITMAPS_ID);
        out.name(BITMAPS);
        out.u32(0);
        out.u32(BitmapHandover.VERSION);
        StateOutput content = new StateOutput(256);
        bitmaps.begin(content);
        out.state(content);
        footer(out, BITMAPS_ID);
    }

    /** The END section of dirty bitmaps. */
    void bitmapsEnd(StreamOutput out, BitmapHandover.Sending bitmaps) throws IOException {
        out.u8(StreamFormat.END);
        out.u32(BITMAPS_ID);
        StateOutput content = new StateOutput(BITMAPS_PIECE * 2);
        while (bitmaps.rest(content)) {
            if (content.size() > BITMAPS_PIECE) {
                out.state(content);
                content.clear();
            }
        }
        out.state(content);
        footer(out, BITMAPS_ID);
    }

    private static void footer(StreamOutput out, int id) throws IOException {
        out.u8(StreamFormat.FOOTER);
        out.u32(id);
    }

    /**
     * The sections of all devices, without an end mark.
     *
     * @param ended is told the id of each when it is written
     */
    void devices(StateOutput out, Description description, IntConsumer ended)
            throws StateException {
        SavingCodec codec = new SavingCodec(out, description);
        for (StateSection section : registry.sections()) {
            if (section.needed()) {
                try {
                    codec.section(id(section), section);
                    ended.accept(id(section));
                } catch (StateException e) {
                    throw new StateException(
                            "pre-save failed: " + section.name() + ": " + e.getMessage(), e);
                }
            }
        }
    }

    /**
     * Devices, end mark and the description of it all: how a migration stream ends.
     *
     * @param colo whether COLO goes on behind it; see {@link DeviceChanges}
     */
    void devicesAndDescription(StateOutput out, boolean colo) throws StateException {
        Description description = Description.begin(RamBlock.PAGE);
        devices(out, description, id -> {});
        out.u8(StreamFormat.EOF);
        String text = description.end(colo ? StreamFormat.SENDS_CHANGES : "");
        byte[] json = text.getBytes(StandardCharsets.UTF_8);
        out.u8(StreamFormat.DESCRIPTION);
        out.u32(json.length);
        out.bytes(json, 0, json.length);
    }

    private int id(StateSection section) {
        Integer id = ids.get(section);
        if (id == null) {
            id = nextId++;
            ids.put(section, id);
        }
        return id;
    }
}
