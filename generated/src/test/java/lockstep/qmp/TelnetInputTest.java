package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** Telnet's commands are left out, wherever a read ends. */
class TelnetInputTest {
    private static final byte[] SENT = {
        (byte) 255, (byte) 251, 1, '{', (byte) 255, (byte) 253, 0, '}', (byte) 255, (byte) 241, '\n'
    };

    private static String read(int most) throws IOException {
        InputStream slow =
                new ByteArrayInputStream(SENT) {
                    @Override
                    public int read(byte[] b, int from, int length) {
                        return super.read(b, from, Math.min(length, most));
                    }
                };
        return new String(new TelnetInput(slow).readAllBytes(), StandardCharsets.US_ASCII);
    }

    @Test
    void onlyTheTextIsLeft() throws IOException {
        for (int most = 1; most <= SENT.length; most++) {
            assertEquals("{}\n", read(most));
        }
    }

    @Test
    void singleBytesAreReadToo() throws IOException {
        try (InputStream in = new TelnetInput(new ByteArrayInputStream(SENT))) {
            assertEquals('{', in.read());
            assertEquals('}', in.read());
            assertEquals('\n', in.read());
            assertEquals(-1, in.read());
        }
    }
}
