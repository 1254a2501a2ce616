package lockstep.runtime.chardev;

/**
 * Takes telnet commands (RFC 854) out of a peer's bytes. The state outlives reads, because a command may
 * be split between packets.
 */
final class TelnetFilter {
    /** WILL ECHO, WILL SUPPRESS-GO-AHEAD, WILL BINARY, DO BINARY (RFC 857, 858, 856). */
    static final byte[] GREETING = {
        (byte) 0xff, (byte) 0xfb, 1, (byte) 0xff, (byte) 0xfb, 3,
        (byte) 0xff, (byte) 0xfb, 0, (byte) 0xff, (byte) 0xfd, 0
    };

    /** What a 3270 terminal is asked: end-of-record, binary, terminal type (RFC 1576). */
    static final byte[] GREETING_3270 = {
        (byte) 0xff,
        (byte) 0xfd,
        25,
        (byte) 0xff,
        (byte) 0xfb,
        25,
        (byte) 0xff,
        (byte) 0xfd,
        0,
        (byte) 0xff,
        (byte) 0xfb,
        0,
        (byte) 0xff,
        (byte) 0xfd,
        24,
        (byte) 0xff,
        (byte) 0xfa,
        24,
        1,
        (byte) 0xff,
        (byte) 0xf0
    };

    private static final int IAC = 0xff;
    private static final int BREAK = 0xf3;

    /** Bytes of the present command seen so far. */
    private int seen;

    private boolean sawBreak;

    /** Squeezes {@code length} bytes in place; returns how many are left. */
    int strip(byte[] data, int length) {
        int out = 0;
        for (int i = 0; i < length; i++) {
            int b = data[i] & 0xff;
            switch (seen) {
                case 0 -> {
                    if (b == IAC) {
                        seen = 1;
                    } else {
                        data[out++] = (byte) b;
                    }
                }
                case 1 -> {
                    if (b == IAC) {
                        data[out++] = (byte) b;
                        seen = 0;
                    } else if (b == BREAK) {
                        sawBreak = true;
                        seen = 0;
                    } else if (b >= 0xfb) {
                        seen = 2; // WILL, WONT, DO, DONT: an option byte follows.
                    } else {
                        seen = 0; // A two-byte command such as NOP or GO-AHEAD.
                    }
                }
                default -> seen = 0;
            }
        }
        return out;
    }

    /** Whether a break came since the last call. */
    boolean takeBreak() {
        boolean was = sawBreak;
        sawBreak = false;
        return was;
    }
}
