package lockstep.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import static java.util.Objects.requireNonNull;

import lockstep.block.node.BlockException;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.Random;

class ZstandardTest {
    private static final int CLUSTER = 65536;

    private static byte[] text() {
        byte[] bytes = new byte[CLUSTER];
        Random random = new Random(5);
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) ('a' + random.nextInt(4));
        }
        return bytes;
    }

    private static byte[] unpacked(byte[] packed) throws BlockException {
        byte[] plain = new byte[CLUSTER];
        Zstandard.unpack(packed, plain);
        return plain;
    }

    @Test
    void whatStandsBehindTheFramesIsOfNoMatter() throws BlockException {
        byte[] packed = requireNonNull(Zstandard.pack(text()));
        byte[] longer = Arrays.copyOf(packed, packed.length + 511);
        new Random(1).nextBytes(longer);
        System.arraycopy(packed, 0, longer, 0, packed.length);
        assertArrayEquals(text(), unpacked(longer));
        byte[] random = new byte[CLUSTER];
        new Random(2).nextBytes(random);
        assertNull(Zstandard.pack(random));
    }

    @Test
    void severalFramesFillACluster() throws BlockException {
        byte[] half = Arrays.copyOf(text(), CLUSTER / 2);
        byte[] packed = requireNonNull(Zstandard.pack(half));
        byte[] both = Arrays.copyOf(packed, packed.length * 2);
        System.arraycopy(packed, 0, both, packed.length, packed.length);
        byte[] plain = unpacked(both);
        assertArrayEquals(half, Arrays.copyOf(plain, CLUSTER / 2));
        assertArrayEquals(half, Arrays.copyOfRange(plain, CLUSTER / 2, CLUSTER));
        assertThrows(BlockException.class, () -> unpacked(packed));
    }

    @Test
    void damageIsAnErrorAndNothingElse() throws BlockException {
        byte[] packed = requireNonNull(Zstandard.pack(text()));
        Random random = new Random(7);
        int refused = 0;
        for (int round = 0; round < 2000; round++) {
            byte[] damaged = Arrays.copyOf(packed, 1 + random.nextInt(packed.length));
            for (int i = random.nextInt(4); i >= 0; i--) {
                damaged[random.nextInt(Math.min(damaged.length, round % 2 == 0 ? 20 : 20_000))] =
                        (byte) random.nextInt();
            }
            try {
                unpacked(damaged);
            } catch (BlockException e) {
                assertEquals(false, String.valueOf(e.getMessage()).isBlank());
                refused++;
            }
        }
        assertEquals(true, refused > 1000, "damage is found: " + refused);
    }
}
