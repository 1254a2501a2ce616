package lockstep.qmp;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/**
 * Leaves out the telnet commands of a monitor that was started with {@code telnet} (RFC 854: 255, a command, and an
 * option behind 251 to 254). Nothing else can be meant: no UTF-8 text has the byte 255. One thread.
 */
final class TelnetInput extends FilterInputStream {
    private static final int COMMAND = 255;
    private static final int FIRST_WITH_OPTION = 251;

    /** How far a command has come: 0 for none, 1 behind its first byte, 2 where its option follows. */
    private int state;

    TelnetInput(InputStream in) {
        super(in);
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int from, int length) throws IOException {
        int kept = 0;
        while (kept == 0) {
            int n = in.read(bytes, from, length);
            if (n <= 0) {
                return n;
            }
            for (int i = from; i < from + n; i++) {
                if (text(bytes[i] & 0xff)) {
                    bytes[from + kept++] = bytes[i];
                }
            }
        }
        return kept;
    }

    private boolean text(int b) {
        switch (state) {
            case 0 -> {
                state = b == COMMAND ? 1 : 0;
                return state == 0;
            }
            case 1 -> state = b >= FIRST_WITH_OPTION && b < COMMAND ? 2 : 0;
            default -> state = 0;
        }
        return false;
    }
}
