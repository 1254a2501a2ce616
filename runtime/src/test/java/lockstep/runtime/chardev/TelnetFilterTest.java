package lockstep.runtime.chardev;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Arrays;

final class TelnetFilterTest {
    private static byte[] bytes(int... values) {
        byte[] result = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            result[i] = (byte) values[i];
        }
        return result;
    }

    private static byte[] strip(TelnetFilter filter, byte[] data) {
        byte[] copy = data.clone();
        return Arrays.copyOf(copy, filter.strip(copy, copy.length));
    }

    @Test
    void commandsGoAndADoubledByteStays() {
        TelnetFilter filter = new TelnetFilter();
        assertArrayEquals(
                bytes('a', 0xff, 'b'),
                strip(filter, bytes('a', 0xff, 0xfd, 3, 0xff, 0xff, 0xff, 0xfb, 1, 'b')));
        assertFalse(filter.takeBreak());
    }

    @Test
    void stateOutlivesTheRead() {
        TelnetFilter filter = new TelnetFilter();
        assertArrayEquals(bytes('x'), strip(filter, bytes('x', 0xff)));
        assertEquals(0, strip(filter, bytes(0xfd)).length);
        assertArrayEquals(bytes('y'), strip(filter, bytes(3, 'y')));
        strip(filter, bytes(0xff, 0xf3));
        assertTrue(filter.takeBreak());
        assertFalse(filter.takeBreak());
    }
}
