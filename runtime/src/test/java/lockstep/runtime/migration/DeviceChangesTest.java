package lockstep.runtime.migration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Device state as changes, both ends. */
class DeviceChangesTest {
    private static final int MOST = 1 << 20;

    private final Random random = new Random(5);
    private final List<byte[]> sections = new ArrayList<>();
    private final DeviceChanges.Sender sender = new DeviceChanges.Sender();

    private byte[] send() {
        DeviceChanges.Sections next = sender.next();
        for (int i = 0; i < sections.size(); i++) {
            byte[] s = sections.get(i);
            next.bytes.bytes(s, 0, s.length);
            next.ended(3 + i);
        }
        return sender.changes().toByteArray();
    }

    private static byte[] together(List<byte[]> parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        parts.forEach(all::writeBytes);
        all.write(StreamFormat.EOF);
        return all.toByteArray();
    }

    private byte[] bytes(int length) {
        byte[] b = new byte[length];
        random.nextBytes(b);
        return b;
    }

    private void change(int section) {
        byte[] old = sections.get(section);
        byte[] now = Arrays.copyOf(old, Math.max(1, old.length + random.nextInt(-3, 4) / 3 * 8));
        for (int i = random.nextInt(4); i > 0; i--) {
            now[random.nextInt(now.length)] = (byte) random.nextInt();
        }
        sections.set(section, now);
    }

    @Test
    void bothEndsKeepTheSame() throws IOException {
        DeviceChanges.Receiver receiver = new DeviceChanges.Receiver(MOST);
        for (int i = 0; i < 20; i++) {
            sections.add(bytes(random.nextInt(1, 3000)));
        }
        for (int round = 0; round < 2000; round++) {
            List<byte[]> before = List.copyOf(sections);
            int kind = random.nextInt(40);
            if (kind == 0) {
                sections.add(bytes(random.nextInt(1, 300)));
            } else if (kind == 1 && sections.size() > 1) {
                sections.removeLast();
            } else {
                for (int i = random.nextInt(4); i > 0; i--) {
                    change(random.nextInt(sections.size()));
                }
            }
            ColoTarget.Devices taken = receiver.take(send());
            assertArrayEquals(together(sections), taken.all());
            List<byte[]> changed = new ArrayList<>();
            for (int i = 0; i < sections.size(); i++) {
                boolean same =
                        round > 0
                                && before.size() == sections.size()
                                && Arrays.equals(before.get(i), sections.get(i));
                if (!same) {
                    changed.add(sections.get(i));
                }
            }
            assertArrayEquals(together(changed), taken.changed());
        }
    }

    @Test
    void whatDidNotChangeCostsNothing() {
        sections.add(bytes(100_000));
        sections.add(bytes(500));
        assertTrue(send().length > 100_500);
        assertEquals(5, send().length);
        sections.get(0)[70_000] ^= 1;
        // A place, a length, two runs around one byte, and the end.
        assertEquals(5 + 2 + 4 + 8 + 1 + 8, send().length);
        sections.get(0)[0] ^= 1;
        sections.get(1)[499] ^= 1;
        assertTrue(send().length < 60);
    }

    /** Whatever comes, it is taken whole or refused; what was taken before stays. */
    @Test
    void mangledChangesAreRefusedOrWhole() throws IOException {
        for (int i = 0; i < 5; i++) {
            sections.add(bytes(200));
        }
        byte[] first = send();
        change(1);
        change(3);
        byte[] good = send();
        byte[] expected = together(sections);
        int refused = 0;
        for (int i = 0; i < 20_000; i++) {
            DeviceChanges.Receiver receiver = new DeviceChanges.Receiver(MOST);
            receiver.take(first);
            byte[] bad = Arrays.copyOf(good, i < good.length ? i : good.length);
            for (int n = random.nextInt(3); n > 0 && bad.length > 0; n--) {
                bad[random.nextInt(bad.length)] = (byte) random.nextInt();
            }
            try {
                receiver.take(bad);
            } catch (IOException e) {
                refused++;
                assertArrayEquals(expected, receiver.take(good).all());
            }
        }
        assertTrue(refused > 1000, refused + " refused");
    }

    @Test
    void sizesAreBounded() throws IOException {
        sections.add(bytes(1000));
        DeviceChanges.Receiver small = new DeviceChanges.Receiver(1000);
        byte[] first = send();
        assertThrows(IOException.class, () -> small.take(first));
        // A section of 2 GiB in a message of some bytes.
        byte[] huge = {0, 0, 1, 0, 1, 0x7f, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
        DeviceChanges.Receiver receiver = new DeviceChanges.Receiver(MOST);
        IOException e = assertThrows(IOException.class, () -> receiver.take(huge));
        assertTrue(String.valueOf(e.getMessage()).contains("2147483647 bytes"), e.getMessage());
    }
}
