package lockstep.conformance;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Takes a captured migration stream apart by the format's rules and its own JSON description, without any
 * of the product's code for it: framing, RAM, and of each device section the walk through all fields. A
 * stream that does not come out even fails.
 */
final class StreamReader {
    private static final int PAGE = 4096;

    /** A RAM block with the content it has at the end. */
    record Block(String name, byte[] content) {}

    /** A FULL section. */
    record Device(String name, int instance, int version, byte[] payload, JsonObject description) {
        @Override
        public String toString() {
            return name + " " + instance + " v" + version + " (" + payload.length + " bytes)";
        }
    }

    /** One field of a section, with its path through nested structures. */
    record Field(String path, int offset, int size) {}

    private final ByteBuffer in;
    private final Map<String, Block> blocks = new LinkedHashMap<>();
    private final Map<Integer, String> live = new LinkedHashMap<>();
    private final List<Device> devices = new ArrayList<>();
    private final List<Integer> commands = new ArrayList<>();
    private String machine = "";
    private @Nullable Block current;
    private int parts;

    private StreamReader(byte[] stream) {
        in = ByteBuffer.wrap(stream);
    }

    /** Reads a whole stream, up to its last byte. */
    static StreamReader read(byte[] stream) {
        StreamReader reader = new StreamReader(stream);
        JsonArray described = reader.findDescription(stream);
        try {
            reader.stream(described);
        } catch (BufferUnderflowException e) {
            throw new AssertionError("the stream ends too early", e);
        }
        return reader;
    }

    String machine() {
        return machine;
    }

    List<Block> blocks() {
        return List.copyOf(blocks.values());
    }

    List<Device> devices() {
        return List.copyOf(devices);
    }

    /** The numbers of the commands in the stream. */
    List<Integer> commands() {
        return List.copyOf(commands);
    }

    /** How many PART sections there were. */
    int parts() {
        return parts;
    }

    private void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError("at byte " + in.position() + ": " + what);
        }
    }

    /** The description is the last item: 00 06, its length, and exactly that many bytes. */
    private JsonArray findDescription(byte[] stream) {
        for (int at = stream.length - 6; at >= 0; at--) {
            if (stream[at] == 0
                    && stream[at + 1] == 6
                    && ByteBuffer.wrap(stream, at + 2, 4).getInt() == stream.length - at - 6) {
                String json =
                        new String(stream, at + 6, stream.length - at - 6, StandardCharsets.UTF_8);
                try {
                    JsonObject all = (JsonObject) JsonStreamParser.parse(json);
                    in.limit(at + 1);
                    return array(all, "devices");
                } catch (QmpException e) {
                    throw new AssertionError("the description is not JSON: " + json, e);
                }
            }
        }
        throw new AssertionError("the stream does not end in a description");
    }

    private void stream(JsonArray described) {
        expect(in.getInt() == 0x5145564d, "not a migration stream");
        expect(in.getInt() == 3, "not version 3");
        expect(in.get() == 7, "no configuration");
        machine = text(in.getInt());
        while (in.get(in.position()) == 5) {
            in.get();
            String name = text(in.get() & 0xff);
            in.getInt();
            expect(name.equals("configuration/uuid"), "unknown subsection " + name);
            in.position(in.position() + 16);
        }
        int nextDevice = 0;
        while (true) {
            int type = in.get() & 0xff;
            switch (type) {
                case 0 -> {
                    expect(!in.hasRemaining(), "items behind the end mark");
                    expect(nextDevice == described.size(), "described sections are missing");
                    return;
                }
                case 1 -> {
                    int id = in.getInt();
                    String name = text(in.get() & 0xff);
                    expect(name.equals("ram"), "unknown live section " + name);
                    expect(in.getInt() == 0 && in.getInt() == 4, "ram 0 version 4 expected");
                    live.put(id, name);
                    ram();
                    footer(id);
                }
                case 2, 3 -> {
                    int id = in.getInt();
                    expect(live.containsKey(id), "unknown section id " + id);
                    if (type == 2) {
                        parts++;
                    } else {
                        live.remove(id);
                    }
                    ram();
                    footer(id);
                }
                case 4 -> {
                    expect(nextDevice < described.size(), "a section that is not described");
                    device((JsonObject) described.get(nextDevice++));
                }
                case 8 -> {
                    commands.add(in.getShort() & 0xffff);
                    int length = in.getShort() & 0xffff;
                    in.position(in.position() + length);
                }
                default -> expect(false, "unknown item type " + type);
            }
        }
    }

    private void footer(int id) {
        expect(in.get() == 0x7e, "no footer");
        int theirs = in.getInt();
        expect(theirs == id, "footer of section " + theirs + " behind section " + id);
    }

    private void ram() {
        while (true) {
            long word = in.getLong();
            int flags = (int) word & 0xfff;
            long offset = word & ~0xfffL;
            if (flags == 0x010) {
                return;
            }
            if (flags == 0x004) {
                long left = offset;
                while (left > 0) {
                    String name = text(in.get() & 0xff);
                    long length = in.getLong();
                    blocks.put(name, new Block(name, new byte[Math.toIntExact(length)]));
                    left -= length;
                }
                expect(left == 0, "block lengths do not sum up");
                continue;
            }
            if ((flags & 0x020) == 0) {
                String name = text(in.get() & 0xff);
                current = blocks.get(name);
                expect(current != null, "page of unknown block " + name);
            }
            Block block = current;
            if (block == null) {
                throw new AssertionError("a page without a block");
            }
            int at = Math.toIntExact(offset);
            expect(at + PAGE <= block.content().length, "a page outside its block");
            switch (flags & ~0x020) {
                case 0x002 -> {
                    expect(in.get() == 0, "a fill page that is not zero");
                    Arrays.fill(block.content(), at, at + PAGE, (byte) 0);
                }
                case 0x008 -> in.get(block.content(), at, PAGE);
                default -> expect(false, "unknown page flags " + Integer.toHexString(flags));
            }
        }
    }

    private void device(JsonObject description) {
        int id = in.getInt();
        String name = text(in.get() & 0xff);
        int instance = in.getInt();
        int version = in.getInt();
        expect(name.equals(string(description, "name")), name + " is described as another");
        expect(instance == number(description, "instance_id"), name + ": other instance");
        if (description.has("version")) {
            expect(version == number(description, "version"), name + ": other version");
        }
        int start = in.position();
        List<Field> fields = new ArrayList<>();
        int end = object(description, name, start, fields);
        byte[] payload = new byte[end - start];
        in.get(payload);
        expect(in.get(in.position()) == 0x7e, name + ": fields do not add up to the section");
        footer(id);
        devices.add(new Device(name, instance, version, payload, description));
    }

    /** Walks the fields and subsections of a description from {@code at}; gives the byte behind it. */
    private int object(JsonObject description, String path, int at, List<Field> fields) {
        int position = at;
        for (JsonValue value : array(description, "fields")) {
            position = field((JsonObject) value, path, position, fields);
        }
        if (description.get("subsections") instanceof JsonArray subsections) {
            for (JsonValue value : subsections) {
                JsonObject sub = (JsonObject) value;
                String name = string(sub, "vmsd_name");
                byte[] header = new byte[2 + name.length()];
                in.get(position, header);
                expect(
                        header[0] == 5
                                && (header[1] & 0xff) == name.length()
                                && new String(header, 2, name.length(), StandardCharsets.US_ASCII)
                                        .equals(name),
                        path + ": no subsection " + name + " at byte " + position);
                expect(
                        in.getInt(position + header.length) == number(sub, "version"),
                        name + ": other version");
                position = object(sub, name, position + header.length + 4, fields);
            }
        }
        return position;
    }

    private int field(JsonObject field, String path, int at, List<Field> fields) {
        String name = path + "." + string(field, "name");
        int size = number(field, "size");
        int count = field.has("array_len") ? number(field, "array_len") : 1;
        JsonObject nested =
                field.get("struct") instanceof JsonObject struct
                        ? struct
                        : field.has("fields") ? field : null;
        int position = at;
        for (int i = 0; i < count; i++) {
            if (nested != null) {
                int end = object(nested, name, position, fields);
                expect(end - position == size, name + ": its parts do not add up to " + size);
            }
            fields.add(new Field(name, position, size));
            position += size;
        }
        return position;
    }

    private String text(int length) {
        byte[] bytes = new byte[length];
        in.get(bytes);
        return new String(bytes, StandardCharsets.US_ASCII);
    }

    private static JsonArray array(JsonObject object, String name) {
        return object.get(name) instanceof JsonArray array ? array : new JsonArray();
    }

    private static String string(JsonObject object, String name) {
        return object.get(name) instanceof JsonString s ? s.value() : "";
    }

    private static int number(JsonObject object, String name) {
        return object.get(name) instanceof JsonNumber n ? (int) n.signed().orElse(0) : 0;
    }
}
