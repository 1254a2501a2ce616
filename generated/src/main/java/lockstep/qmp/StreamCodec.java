package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.exc.StreamReadException;
import tools.jackson.core.json.JsonFactory;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Generated types to and from plain JSON through Jackson's streaming interface: the client's side,
 * and files. It neither knows QEMU's member order nor its tolerance; {@link JsonPrinter} and {@link
 * JsonStreamParser} do. May be used by several threads.
 */
public final class StreamCodec {
    /** Replies may be large, and QEMU sets no limit to what it writes. */
    private static final int MAX_TEXT = Integer.MAX_VALUE;

    private static final int MAX_NESTING = 1024;

    private static final JsonFactory JSON =
            JsonFactory.builder()
                    .streamReadConstraints(
                            StreamReadConstraints.builder()
                                    .maxNestingDepth(MAX_NESTING)
                                    .maxStringLength(MAX_TEXT)
                                    .build())
                    .build();

    private StreamCodec() {}

    /** Writes a value as UTF-8. */
    public static <T> byte[] write(T value, ValueWriter<T> writer) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        write(value, writer, bytes);
        return bytes.toByteArray();
    }

    /**
     * Writes a value as UTF-8 to a stream, which stays open.
     *
     * @throws tools.jackson.core.JacksonException when the stream fails
     */
    public static <T> void write(T value, ValueWriter<T> writer, OutputStream stream) {
        JsonGenerator generator = JSON.createGenerator(ObjectWriteContext.empty(), stream);
        writer.write(value, new Writer(generator), null);
        generator.flush();
    }

    /**
     * Reads one value of UTF-8 text.
     *
     * @throws QmpException when the text is not JSON, or does not fit the type
     */
    public static <T> T read(byte[] text, ValueReader<T> reader) throws QmpException {
        try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), text)) {
            return read(parser, reader);
        }
    }

    /**
     * Reads one value of a stream of UTF-8 text.
     *
     * @throws QmpException when the text is not JSON, or does not fit the type
     */
    public static <T> T read(InputStream stream, ValueReader<T> reader) throws QmpException {
        try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), stream)) {
            return read(parser, reader);
        }
    }

    private static <T> T read(JsonParser parser, ValueReader<T> reader) throws QmpException {
        JsonValue tree;
        try {
            tree = value(parser, parser.nextToken());
        } catch (StreamReadException e) {
            String what = "Not valid JSON: " + e.getOriginalMessage();
            throw new QmpException(ErrorClass.GENERIC_ERROR, what, e);
        }
        return reader.read(new JsonInputVisitor(tree), null);
    }

    /** A parser for a stream of JSON texts, which fails with unchecked exceptions. */
    static JsonParser parser(InputStream stream) {
        return JSON.createParser(ObjectReadContext.empty(), stream);
    }

    /** The value that starts with a token. */
    static JsonValue value(JsonParser parser, @Nullable JsonToken token) throws QmpException {
        return switch (token) {
            case START_OBJECT -> {
                JsonObject object = new JsonObject();
                while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
                    String name = parser.currentName();
                    object.put(name, value(parser, parser.nextToken()));
                }
                yield object;
            }
            case START_ARRAY -> {
                JsonArray array = new JsonArray();
                JsonToken next = parser.nextToken();
                while (next != JsonToken.END_ARRAY) {
                    array.add(value(parser, next));
                    next = parser.nextToken();
                }
                yield array;
            }
            case VALUE_STRING -> new JsonString(parser.getString());
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> JsonNumber.parse(parser.getString());
            case VALUE_TRUE -> new JsonBoolean(true);
            case VALUE_FALSE -> new JsonBoolean(false);
            case VALUE_NULL -> JsonNull.NULL;
            case null, default -> throw new QmpException("Not valid JSON: the text ends early.");
        };
    }

    /** Writes as the value is visited, without a tree in between. */
    private record Writer(JsonGenerator generator) implements OutputVisitor {
        private void name(@Nullable String name) {
            if (name != null) {
                generator.writeName(name);
            }
        }

        @Override
        public void startStruct(@Nullable String name) {
            name(name);
            generator.writeStartObject();
        }

        @Override
        public void endStruct() {
            generator.writeEndObject();
        }

        @Override
        public void startList(@Nullable String name) {
            name(name);
            generator.writeStartArray();
        }

        @Override
        public void endList() {
            generator.writeEndArray();
        }

        @Override
        public void string(@Nullable String name, String value) {
            name(name);
            generator.writeString(value);
        }

        @Override
        public void integer(@Nullable String name, long value) {
            name(name);
            generator.writeNumber(value);
        }

        @Override
        public void bool(@Nullable String name, boolean value) {
            name(name);
            generator.writeBoolean(value);
        }

        @Override
        public void any(@Nullable String name, JsonValue value) {
            switch (value) {
                case JsonObject object -> {
                    startStruct(name);
                    for (Map.Entry<String, JsonValue> member : object.members().entrySet()) {
                        any(member.getKey(), member.getValue());
                    }
                    endStruct();
                }
                case JsonArray array -> {
                    startList(name);
                    array.forEach(element -> any(null, element));
                    endList();
                }
                case JsonString string -> string(name, string.value());
                case JsonBoolean bool -> bool(name, bool.value());
                case JsonNumber number -> number(name, number);
                case JsonNull none -> {
                    name(name);
                    generator.writeNull();
                }
            }
        }

        private void number(@Nullable String name, JsonNumber number) {
            OptionalLong signed = number.signed();
            if (signed.isPresent()) {
                integer(name, signed.getAsLong());
            } else {
                name(name);
                generator.writeNumber(number.toString());
            }
        }
    }
}
