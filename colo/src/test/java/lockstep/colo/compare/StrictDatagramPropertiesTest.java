package lockstep.colo.compare;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Whatever is not TCP: two guests send the same messages, each in frames of its own making, with its own identifications,
 * checksums, times to live and flow labels, whole or in fragments. The model counts messages: none leaves more often than
 * the secondary has sent it.
 */
class StrictDatagramPropertiesTest {
    private static final int TRIES = 300;
    private static final long SECOND = 1_000_000_000;
    private static final int UDP = 17;
    private static final int FRAGMENT = 44;

    /** What a message is of: its protocol, and where there is a checksum. */
    private enum Kind {
        UDP4(4, 17, 6, 2),
        ICMP4(4, 1, 2, 2),
        SCTP4(4, 132, 8, 4),
        IN_GRE(4, 47, 6, 2),
        OTHER4(4, 201, 0, 0),
        UDP6(6, 17, 6, 2),
        ICMP6(6, 58, 2, 2),
        SCTP6(6, 132, 8, 4),
        IN_IPV6(6, 41, 6, 2),
        ARP(0, 0x0806, 0, 0),
        UNKNOWN(0, 0x88cc, 0, 0);

        private final int version;

        /** Of IP, or of Ethernet. */
        private final int protocol;

        private final int sumAt;
        private final int sum;

        Kind(int version, int protocol, int sumAt, int sum) {
            this.version = version;
            this.protocol = protocol;
            this.sumAt = sumAt;
            this.sum = sum;
        }
    }

    /**
     * What must be the same.
     *
     * @param tags VLANs from the outermost on
     * @param extensions numbers of IPv6's headers, each of eight bytes
     * @param options what those contain that are not part of a datagram in fragments
     * @param host the last byte of the destination
     * @param body of the transport protocol, or behind Ethernet's header
     */
    private record Message(
            Kind kind,
            List<Integer> tags,
            List<Integer> extensions,
            int options,
            int host,
            byte[] body) {
        static Message any(Random r) {
            Kind kind = Kind.values()[r.nextInt(Kind.values().length)];
            List<Integer> tags = new ArrayList<>();
            for (int i = r.nextInt(2) * r.nextInt(4); i > 0; i--) {
                tags.add(1 + r.nextInt(2));
            }
            List<Integer> extensions = new ArrayList<>();
            for (int i = kind.version == 6 ? r.nextInt(4) : 0; i > 0; i--) {
                extensions.add(new int[] {0, 43, FRAGMENT, 60}[r.nextInt(4)]);
            }
            byte[] body = new byte[20 + r.nextInt(100)];
            for (int i = 0; i < body.length; i++) {
                body[i] = (byte) r.nextInt(2);
            }
            return new Message(kind, tags, extensions, r.nextInt(2), r.nextInt(2), body);
        }

        /** One that differs in little. */
        Message changed(Random r) {
            int most = kind == Kind.ARP ? 28 : body.length;
            byte[] other = body.clone();
            switch (r.nextInt(tags.isEmpty() ? 3 : 4)) {
                case 0 -> {
                    if (kind.version == 0) {
                        other[0] ^= 1;
                        break;
                    }
                    if (r.nextBoolean() && optionsCount()) {
                        return new Message(kind, tags, extensions, options ^ 1, host, body);
                    }
                    return new Message(kind, tags, extensions, options, host ^ 1, body);
                }
                case 1 -> {
                    if (kind == Kind.ARP) {
                        other[1] ^= 1;
                        break;
                    }
                    other = Arrays.copyOf(body, body.length + 1);
                }
                case 2 -> {
                    int at;
                    do {
                        at = r.nextInt(Math.min(most, body.length));
                    } while (at >= kind.sumAt && at < kind.sumAt + kind.sum);
                    other[at] ^= (byte) (1 << r.nextInt(8));
                }
                default -> {
                    List<Integer> moved = new ArrayList<>(tags);
                    int at = r.nextInt(tags.size());
                    moved.set(at, 3 - tags.get(at));
                    return new Message(kind, moved, extensions, options, host, body);
                }
            }
            return new Message(kind, tags, extensions, options, host, other);
        }

        private boolean cutBehindExtensions() {
            return body.length % 3 == 0;
        }

        /** Whether any header has the options in it. */
        private boolean optionsCount() {
            int outside = cutBehindExtensions() ? extensions.size() / 2 : extensions.size();
            return extensions.subList(0, outside).stream().anyMatch(e -> e != FRAGMENT);
        }

        // ---- how a guest sends it

        /** Its frames, from the first part to the last; {@code id} tells datagrams in parts from each other. */
        List<byte[]> frames(Random r, int id) {
            byte[] content = body.clone();
            for (int i = 0; i < kind.sum; i++) {
                content[kind.sumAt + i] = (byte) r.nextInt();
            }
            int protocol = kind.protocol;
            if (kind == Kind.IN_GRE) {
                content = inside(ipv4(r, UDP, r.nextInt(), 0, content), 0x0800);
            } else if (kind == Kind.IN_IPV6) {
                content = ipv6(r, UDP, content);
            }
            if (kind.version == 0) {
                return List.of(ethernet(protocol, content));
            }
            // The second half of the headers may be inside of what is cut.
            int outside = extensions.size();
            // What is in front of a fragment's header is not part of the datagram; of one that is
            // whole, all is.
            boolean cut = outside == 0 ? r.nextInt(3) == 0 : cutBehindExtensions();
            if (cut) {
                outside /= 2;
            }
            for (int i = extensions.size() - 1; i >= outside; i--) {
                content = extension(r, extensions.get(i), 5, protocol, content);
                protocol = extensions.get(i);
            }
            List<byte[]> frames = new ArrayList<>();
            int at = 0;
            do {
                int most = outside == 0 ? 6 : 2;
                int bytes = cut ? 8 * (1 + r.nextInt(most)) : content.length;
                int to = Math.min(content.length, at + bytes);
                frames.add(part(r, protocol, outside, content, at, to, cut ? id : r.nextInt()));
                at = to;
            } while (at < content.length);
            return frames;
        }

        private byte[] part(
                Random r, int protocol, int outside, byte[] content, int from, int to, int id) {
            byte[] part = Arrays.copyOfRange(content, from, to);
            boolean more = to < content.length;
            boolean whole = from == 0 && !more;
            if (kind.version == 4) {
                int place = from / 8 | (more ? 0x2000 : 0);
                return ethernet(0x0800, ipv4(r, protocol, id, place, part));
            }
            int next = protocol;
            if (!whole) {
                part = extension(r, FRAGMENT, 0, next, part);
                ByteBuffer.wrap(part).putShort(2, (short) (from | (more ? 1 : 0))).putInt(4, id);
                next = FRAGMENT;
            }
            for (int i = outside - 1; i >= 0; i--) {
                part = extension(r, extensions.get(i), options, next, part);
                next = extensions.get(i);
            }
            return ethernet(0x86dd, ipv6(r, next, part));
        }

        private byte[] ethernet(int type, byte[] content) {
            ByteBuffer b = ByteBuffer.allocate(14 + 4 * tags.size() + content.length);
            b.position(12);
            for (int tag : tags) {
                b.putInt((tag == 1 ? 0x81000000 : 0x88a80000) | tag);
            }
            return b.putShort((short) type).put(content).array();
        }

        private byte[] ipv4(Random r, int protocol, int id, int place, byte[] content) {
            ByteBuffer b = ByteBuffer.allocate(20 + content.length);
            b.put((byte) 0x45).put((byte) 0).putShort((short) (20 + content.length));
            b.putShort((short) id).putShort((short) place);
            b.put((byte) r.nextInt()).put((byte) protocol).putShort((short) r.nextInt());
            return b.putInt(0x0a000001).putInt(0x0a000100 | host).put(content).array();
        }

        private byte[] ipv6(Random r, int next, byte[] content) {
            ByteBuffer b = ByteBuffer.allocate(40 + content.length);
            b.putInt(0x6000_0000 | r.nextInt() & 0xf_ffff).putShort((short) content.length);
            b.put((byte) next).put((byte) r.nextInt()).put(39, (byte) host).position(40);
            return b.put(content).array();
        }

        private static byte[] extension(
                Random r, int number, int options, int next, byte[] content) {
            ByteBuffer b =
                    ByteBuffer.allocate(8 + content.length).put((byte) next).put(new byte[3]);
            return b.putInt(number == FRAGMENT ? r.nextInt() : options).put(content).array();
        }

        private static byte[] inside(byte[] datagram, int type) {
            return ByteBuffer.allocate(4 + datagram.length).putInt(type).put(datagram).array();
        }
    }

    /** A message that a guest sends, and what of it is yet to go. */
    private record Sending(Message message, Deque<byte[]> frames) {}

    private static final class Run implements Engine.Output {
        final Random r;
        final StrictEngine engine;

        /** How often the secondary sent each, all its frames, and how often each left. */
        final Map<Message, Integer> sent = new HashMap<>();

        final Map<Message, Integer> released = new HashMap<>();

        /** The primary's frames that have not left. */
        final Map<String, Deque<Sending>> held = new HashMap<>();

        private final Map<Sending, Integer> frames = new HashMap<>();
        private long now;
        private int requests;
        private boolean flushing;

        Run(long seed) {
            r = new Random(seed);
            engine = new StrictEngine(this, () -> now, () -> 1 << 20, () -> SECOND, 64);
        }

        /** Each message in frames, every message's in some order, mixed with those of the few next to it. */
        private List<Sending> schedule(List<Message> messages, int firstId) {
            List<Sending> order = new ArrayList<>();
            for (int i = 0; i < messages.size(); i++) {
                List<byte[]> frames = new ArrayList<>(messages.get(i).frames(r, firstId + i));
                if (r.nextBoolean()) {
                    Collections.shuffle(frames, r);
                }
                Sending s = new Sending(messages.get(i), new ArrayDeque<>(frames));
                for (int k = 0; k < frames.size(); k++) {
                    order.add(Math.max(0, order.size() - r.nextInt(3)), s);
                }
            }
            return order;
        }

        void play(List<Message> primary, List<Message> secondary) {
            List<Sending> ours = schedule(primary, r.nextInt());
            List<Sending> theirs = schedule(secondary, r.nextInt());
            int lead = r.nextInt(5);
            int p = 0;
            int s = 0;
            while (p < ours.size() || s < theirs.size()) {
                boolean first = s == theirs.size() || p < ours.size() && r.nextInt(5) <= lead;
                if (first) {
                    Sending sending = ours.get(p++);
                    byte[] f = sending.frames.remove();
                    held.computeIfAbsent(name(f, f.length), k -> new ArrayDeque<>()).add(sending);
                    engine.primary(f, f.length, 0);
                } else {
                    Sending sending = theirs.get(s++);
                    byte[] f = sending.frames.remove();
                    if (sending.frames.isEmpty()) {
                        sent.merge(sending.message, 1, Integer::sum);
                    }
                    engine.secondary(f, f.length, 0);
                }
            }
        }

        private static String name(byte[] frame, int length) {
            return new String(frame, 0, length, StandardCharsets.ISO_8859_1);
        }

        @Override
        public void release(byte[] frame, int length, int vnetHeader) {
            String name = name(frame, length);
            Deque<Sending> same = held.get(name);
            assertTrue(same != null, "left twice, or was never sent");
            Sending sending = same.remove();
            if (same.isEmpty()) {
                held.remove(name);
            }
            if (!flushing && frames.merge(sending, 1, Integer::sum) == 1) {
                int times = released.merge(sending.message, 1, Integer::sum);
                int most = sent.getOrDefault(sending.message, 0);
                assertTrue(times <= most, "left although the secondary has not sent it");
            }
        }

        @Override
        public void requestCheckpoint() {
            requests++;
        }

        void settle() {
            now += 2 * SECOND;
            engine.settle();
        }

        void flush() {
            flushing = true;
            engine.flush();
            assertTrue(held.isEmpty(), "a checkpoint lets everything go");
            CompareStatistics s = engine.statistics();
            assertEquals(0, s.primaryHeld + s.secondaryHeld + s.heldBytes);
        }
    }

    private static List<Message> messages(Random r) {
        List<Message> all = new ArrayList<>();
        for (int i = 1 + r.nextInt(12); i > 0; i--) {
            all.add(r.nextInt(4) == 0 && !all.isEmpty() ? all.getLast() : Message.any(r));
        }
        return all;
    }

    @Property(tries = TRIES)
    void whatBothSendLeavesInWhateverFramesAndOrder(@ForAll long seed) {
        Run run = new Run(seed);
        List<Message> primary = messages(run.r);
        List<Message> secondary = new ArrayList<>(primary);
        Collections.shuffle(secondary, run.r);
        run.play(primary, secondary);
        run.settle();
        assertTrue(run.held.isEmpty(), () -> "held: " + run.held.values());
        assertEquals(0, run.requests);
        run.flush();
    }

    @Property(tries = TRIES)
    void whatDiffersInAnythingThatCountsStays(@ForAll long seed) {
        Run run = new Run(seed);
        Random r = run.r;
        List<Message> primary = messages(r);
        List<Message> secondary = new ArrayList<>(primary);
        int which = r.nextInt(primary.size());
        Message other = primary.get(which).changed(r);
        secondary.set(which, other);
        Collections.shuffle(secondary, r);
        run.play(primary, secondary);
        run.settle();
        // In another flow, it is late.
        run.engine.scan(1);
        assertFalse(run.held.isEmpty());
        assertTrue(run.requests > 0, "the difference was not seen");
        long left = run.released.values().stream().mapToInt(n -> n).sum();
        assertEquals(primary.size() - 1, left, () -> "held " + run.held.values());
        run.flush();
    }
}
