package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.JacksonIOException;

import java.io.IOException;
import java.io.InputStream;

/** The messages in a stream of bytes, however they are cut into packets and lines. */
final class MessageReader {
    private final InputStream stream;
    private @Nullable JsonParser parser;

    MessageReader(InputStream stream) {
        this.stream = stream;
    }

    /** The next message, or null at the end of the stream. */
    @Nullable JsonValue next() throws IOException {
        try {
            JsonParser reading = parser;
            if (reading == null) {
                reading = StreamCodec.parser(stream); // which reads the first bytes
                parser = reading;
            }
            JsonToken token = reading.nextToken();
            return token == null ? null : StreamCodec.value(reading, token);
        } catch (JacksonIOException e) {
            throw e.getCause();
        } catch (JacksonException e) {
            throw new IOException("The server sent what is not JSON: " + e.getOriginalMessage(), e);
        } catch (QmpException e) {
            throw new IOException("The connection ended in the middle of a message", e);
        }
    }
}
