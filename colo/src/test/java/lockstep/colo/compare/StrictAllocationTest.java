package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.colo.packet.Frames;
import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.testmachine.Allocated;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** Once the pool is filled, comparing takes no memory. */
class StrictAllocationTest {
    /** A packet now and then may find the JVM at work. */
    private static final double NOTHING = 0.5;

    private long now;
    private int left;
    private final StrictEngine engine =
            new StrictEngine(
                    new Engine.Output() {
                        @Override
                        public void release(byte[] frame, int length, int vnetHeader) {
                            left++;
                        }

                        @Override
                        public void requestCheckpoint() {
                            throw new AssertionError("equal packets");
                        }
                    },
                    () -> now,
                    () -> 1024,
                    () -> 1000,
                    64);

    /** What both guests send, again and again. */
    private enum Traffic {
        TCP(Frames.up(1, 5000, Frames.ACK, "in order")),
        TCP_TURNED(
                Frames.up(9, 5000, Frames.ACK, "late"), Frames.up(1, 5000, Frames.ACK, "in time.")),
        UDP(Frames.udp(1, "datagram")),
        ICMP(Frames.ip(Frames.GUEST, Frames.CLIENT, 1, 1, new byte[64])),
        SCTP(Frames.ip(Frames.GUEST, Frames.CLIENT, 132, 1, new byte[64])),
        ARP(Frames.arp()),
        IPV6(ipv6()),
        UNKNOWN(new byte[60]),
        FRAGMENTS(fragment(0, true, 1480), fragment(1480, true, 1480), fragment(2960, false, 40)),
        FRAGMENTS_TURNED(fragment(1480, false, 9), fragment(0, true, 1480));

        private final byte[][] frames;

        Traffic(byte[]... frames) {
            this.frames = frames;
        }

        private static byte[] ipv6() {
            ByteBuffer b = ByteBuffer.allocate(14 + 40 + 8 + 8);
            b.putShort(12, (short) 0x86dd).put(14, (byte) 0x60).putShort(18, (short) 16);
            b.put(20, (byte) 60).put(54, (byte) 17);
            return b.array();
        }

        private static byte[] fragment(int offset, boolean more, int bytes) {
            byte[] f = Frames.ip(Frames.GUEST, Frames.CLIENT, 17, 3, new byte[bytes]);
            ByteBuffer.wrap(f).putShort(20, (short) (offset / 8 | (more ? 0x2000 : 0)));
            return f;
        }
    }

    @ParameterizedTest
    @EnumSource(Traffic.class)
    void equalPacketsTakeNoMemory(Traffic traffic) throws Exception {
        byte[][] frames = traffic.frames;
        boolean tcp = traffic == Traffic.TCP || traffic == Traffic.TCP_TURNED;
        if (tcp) {
            byte[] syn = Frames.up(0, 4999, Frames.SYN | Frames.ACK, "");
            engine.primary(syn, syn.length, 0);
            engine.secondary(syn, syn.length, 0);
        }
        int bytes = Arrays.stream(frames).mapToInt(f -> f.length - 54).sum();
        int[] calls = {0};
        double each =
                Allocated.perCall(
                        () -> {
                            boolean first = (calls[0]++ & 1) == 0;
                            for (int side = 0; side < 2; side++) {
                                for (byte[] f : frames) {
                                    if (first == (side == 0)) {
                                        engine.primary(f, f.length, 0);
                                    } else {
                                        engine.secondary(f, f.length, 0);
                                    }
                                }
                            }
                            for (byte[] f : frames) {
                                if (tcp) {
                                    BigEndian.put32(f, 38, BigEndian.get32(f, 38) + bytes);
                                }
                            }
                            now++;
                        });
        assertTrue(each < NOTHING, () -> each + " bytes each time");
        assertEquals(calls[0] * frames.length + (tcp ? 1 : 0), left);
    }
}
