package lockstep.runtime.chardev;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.runtime.option.OptionException;

import org.junit.jupiter.api.Test;

/** Short texts for character devices, as after {@code -serial} or {@code -qtest}. */
class ChardevTextTest {
    private static ChardevConfig.Socket socket(String text) throws OptionException {
        return (ChardevConfig.Socket) ChardevText.compat(text).config();
    }

    @Test
    void theNameOfAUnixSocketMayHaveItsKeyInFront() throws OptionException {
        ChardevConfig.Address expected = new ChardevConfig.Address.Unix("/tmp/a", false, true);
        assertEquals(expected, socket("unix:/tmp/a").address());
        assertEquals(expected, socket("unix:path=/tmp/a").address());
        ChardevConfig.Socket server = socket("unix:path=/tmp/a,server=on,wait=off");
        assertEquals(expected, server.address());
        assertEquals(Boolean.FALSE, server.waits());
        assertThrows(OptionException.class, () -> socket("unix:nosuch=/tmp/a"));
    }
}
