package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevOptionsNull;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;

/** Values through Jackson and back. */
class StreamCodecTest {
    @Test
    void generatedTypes() throws QmpException {
        BlockdevOptions options =
                BlockdevOptions.NullCo.builder()
                        .nodeName("é\"\n")
                        .data(BlockdevOptionsNull.builder().size(-1L).build())
                        .build();
        byte[] text = StreamCodec.write(options, BlockdevOptions::write);
        assertEquals(options, StreamCodec.read(text, BlockdevOptions::read));
    }

    @Test
    void anyJsonIsReadAsTheOwnReaderDoes() throws QmpException {
        String text =
                "{\"a\": [1, 18446744073709551615, 1e400, 1.5, -0.0, true, null, \"\\u0000\"],"
                        + " \"b\": {}}";
        JsonValue own = JsonStreamParser.parse(text);
        JsonValue read = StreamCodec.read(text.getBytes(StandardCharsets.UTF_8), InputVisitor::any);
        assertEquals(own, read);
        ValueWriter<JsonValue> any = (value, to, name) -> to.any(name, value);
        String finite = "{\"a\": [1, 18446744073709551615, 1.5, true, null, \"x\"]}";
        JsonValue tree = JsonStreamParser.parse(finite);
        assertEquals(tree, StreamCodec.read(StreamCodec.write(tree, any), InputVisitor::any));
    }

    @Test
    void brokenTextIsAnError() {
        for (String text : new String[] {"", "{", "{'a':1}", "[1,]"}) {
            assertThrows(
                    QmpException.class,
                    () ->
                            StreamCodec.read(
                                    text.getBytes(StandardCharsets.UTF_8), InputVisitor::any),
                    text);
        }
    }
}
