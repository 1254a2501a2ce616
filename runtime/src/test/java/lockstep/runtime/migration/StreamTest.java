package lockstep.runtime.migration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.memory.DirtyLog;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateRegistry;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** The stream's bytes, and what the loader makes of right and wrong ones. */
class StreamTest {
    private static final int PAGE = RamBlock.PAGE;

    private static final class Block implements RamBlock {
        private final String name;
        private final MemorySegment memory;
        private long used;

        Block(String name, int pages, int most) {
            this.name = name;
            memory = Arena.ofAuto().allocate((long) most * PAGE, PAGE);
            used = (long) pages * PAGE;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public MemorySegment memory() {
            return memory;
        }

        @Override
        public long usedLength() {
            return used;
        }

        @Override
        public long maxLength() {
            return memory.byteSize();
        }

        @Override
        public void resize(long usedLength) {
            used = usedLength;
        }

        @Override
        public void markDirty(long offset, long length) {}
    }

    private static final class NoLog implements DirtyLog {
        @Override
        public void start() {}

        @Override
        public void stop() {}

        @Override
        public boolean recording() {
            return true;
        }

        @Override
        public long collect(RamBlock block, long[] bitmap) {
            return 0;
        }
    }

    private static final class Register implements StateSection {
        int value;

        @Override
        public String name() {
            return "0000:00:01.0/reg";
        }

        @Override
        public int version() {
            return 3;
        }

        @Override
        public int minimumVersion() {
            return 2;
        }

        @Override
        public void describe(StateCodec c) throws StateException {
            value = c.u16("value", value);
        }
    }

    private static final class Memory implements MigrationChannel {
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public int read(ByteBuffer target) {
            return -1;
        }

        @Override
        public void write(ByteBuffer source) {
            byte[] b = new byte[source.remaining()];
            source.get(b);
            bytes.writeBytes(b);
        }

        @Override
        public void shutdown() {}

        @Override
        public String kind() {
            return "memory";
        }

        @Override
        public void close() {}
    }

    /** One machine: RAM, a register, run state. */
    static final class Half {
        final List<RamBlock> blocks = List.of(new Block("pc.ram", 4, 4), new Block("rom", 1, 4));
        final Register register = new Register();
        final GlobalState global = new GlobalState(Set.of("running", "paused"));
        final StateRegistry registry = new StateRegistry();
        boolean colo;

        Half() {
            registry.register(global);
            registry.register(register);
        }

        byte[] save() throws IOException {
            RamSource ram =
                    new RamSource(new MachineLock(), new NoLog(), blocks, new RamStats(), true);
            StreamSaver saver = new StreamSaver("pc-i440fx-10.2", registry, ram);
            Memory memory = new Memory();
            StreamOutput out = new StreamOutput(memory);
            saver.header(out);
            saver.command(out, StreamFormat.COMMAND_ENABLE_COLO);
            ram.start();
            saver.ramStart(out);
            saver.ramPart(out, System.nanoTime() + 1_000_000_000L, out.position() + 100);
            saver.switchoverStart(out);
            saver.ramEnd(out);
            StateOutput devices = new StateOutput(16);
            saver.devicesAndDescription(devices, colo);
            out.state(devices);
            out.flush();
            return memory.bytes.toByteArray();
        }

        void load(byte[] stream) throws IOException {
            assertNull(read(stream));
        }

        /** Loads a stream; a complaint about what is behind its end, or null. */
        @Nullable String read(byte[] stream) throws IOException {
            StateInput in = new StateInput(new ByteArrayInputStream(stream));
            StreamLoader loader =
                    new StreamLoader(
                            "pc-i440fx-10.2",
                            registry,
                            new RamLoader(blocks),
                            new StreamLoader.Commands() {
                                @Override
                                public void openReturnPath() {}

                                @Override
                                public void ping(int value) {}

                                @Override
                                public void enableColo() {
                                    colo = true;
                                }
                            },
                            StreamLoader.Load::run);
            loader.header(in);
            loader.items(in);
            return loader.description(in);
        }
    }

    static Half source() {
        Half half = new Half();
        half.blocks.get(0).memory().set(ValueLayout.JAVA_LONG, 0, 0x1122334455667788L);
        half.blocks.get(0).memory().set(ValueLayout.JAVA_LONG, 3 * PAGE + 8, -1);
        half.register.value = 0xabcd;
        half.global.store("paused", false);
        return half;
    }

    @Test
    void bytesAreThoseOfTheFormat() throws IOException {
        byte[] stream = source().save();
        String hex = HexFormat.of().formatHex(stream);
        String start =
                "5145564d00000003"
                        + "070000000e70632d6934343066782d31302e32"
                        + "0800080000"
                        + "01000000020372616d0000000000000004"
                        + "0000000000005004"
                        + "0670632e72616d0000000000004000"
                        + "03726f6d0000000000001000"
                        + "00000000000000107e00000002"
                        + "0200000002"
                        + "00000000000000080670632e72616d";
        assertEquals(start, hex.substring(0, start.length()));
        // The PART ends at its limit behind the first page; END goes on in the same block.
        String end =
                "00000000000000107e00000002"
                        + "08000b0000"
                        + "0300000002"
                        + "000000000000102200"
                        + "000000000000202200"
                        + "0000000000003028";
        int page = start.length() / 2 + PAGE;
        assertEquals(end, hex.substring(page * 2, page * 2 + end.length()));
        int rest = page + end.length() / 2 + PAGE;
        String tail =
                "0000000000000002"
                        + "03726f6d00"
                        + "00000000000000107e00000002"
                        + "040000000310"
                        + HexFormat.of().formatHex("0000:00:01.0/reg".getBytes())
                        + "0000000000000003abcd7e00000003"
                        + "04000000040b"
                        + HexFormat.of().formatHex("globalstate".getBytes())
                        + "000000000000000100000007"
                        + HexFormat.of().formatHex("paused".getBytes())
                        + "00".repeat(26)
                        + "0100"
                        + "00".repeat(66)
                        + "7e0000000400"
                        + "06";
        assertEquals(tail, hex.substring(rest * 2, rest * 2 + tail.length()));
        int json = rest + tail.length() / 2;
        assertEquals(stream.length - json - 4, ByteBuffer.wrap(stream, json, 4).getInt());
    }

    @Test
    void olderMachinesAnnounceNoSwitchover() {
        assertTrue(StreamFormat.announcesSwitchover("pc-i440fx-10.0"));
        assertFalse(StreamFormat.announcesSwitchover("pc-i440fx-9.2"));
        assertFalse(StreamFormat.announcesSwitchover("pc-i440fx-7.2"));
        assertFalse(StreamFormat.announcesSwitchover("none"));
    }

    @Test
    void roundTrip() throws IOException {
        Half from = source();
        Half to = new Half();
        to.blocks.get(0).memory().fill((byte) 0x55);
        to.blocks.get(1).memory().fill((byte) 0x55);
        to.load(from.save());
        assertTrue(to.colo);
        assertEquals(0xabcd, to.register.value);
        assertEquals("paused", to.global.received());
        for (int i = 0; i < 2; i++) {
            long length = from.blocks.get(i).usedLength();
            assertEquals(
                    -1,
                    MemorySegment.mismatch(
                            from.blocks.get(i).memory(),
                            0,
                            length,
                            to.blocks.get(i).memory(),
                            0,
                            length));
        }
    }

    @Test
    void resizableBlocksFollowTheSource() throws IOException {
        Half from = source();
        from.blocks.get(1).resize(3 * PAGE);
        Half to = new Half();
        to.load(from.save());
        assertEquals(3 * PAGE, to.blocks.get(1).usedLength());
        from.blocks.get(0).resize(3 * PAGE);
        LoadException e = assertThrows(LoadException.class, () -> new Half().load(from.save()));
        assertEquals(
                List.of("Size mismatch: pc.ram: 0x3000 != 0x4000: Invalid argument"), e.notes());
    }

    private static byte[] replace(byte[] stream, String what, String by) {
        String hex = HexFormat.of().formatHex(stream);
        int at = hex.indexOf(what);
        assertTrue(at >= 0 && at % 2 == 0);
        return HexFormat.of()
                .parseHex(hex.substring(0, at) + by + hex.substring(at + what.length()));
    }

    private static LoadException refused(byte[] stream) {
        return assertThrows(LoadException.class, () -> new Half().load(stream));
    }

    @Test
    void errorsSayWhatQemusSay() throws IOException {
        byte[] good = source().save();
        assertEquals(
                List.of("Machine type received is 'pc-i440fx-10.3' and local is 'pc-i440fx-10.2'"),
                refused(replace(good, "31302e32", "31302e33")).notes());
        assertEquals(
                "Unsupported migration stream version, file version 4 != 3",
                refused(replace(good, "5145564d00000003", "5145564d00000004")).getMessage());
        assertEquals(
                "Unknown section or instance '0000:00:01.1/reg' 0. Make sure that your current VM"
                        + " setup matches your saved VM setup, including any hotplugged devices",
                refused(replace(good, "30312e302f726567", "30312e312f726567")).getMessage());
        assertEquals(
                "unsupported version 4 for '0000:00:01.0/reg' v3",
                refused(replace(good, "7265670000000000000003", "7265670000000000000004"))
                        .getMessage());
        assertEquals(
                "0000:00:01.0/reg: incoming version_id 1 is too old for local minimum version_id"
                        + " 2",
                refused(replace(good, "7265670000000000000003", "7265670000000000000001"))
                        .getMessage());
        LoadException footer = refused(replace(good, "abcd7e00000003", "abcd7e00000009"));
        assertEquals("Section footer error, section_id: 3", footer.getMessage());
        assertEquals(
                List.of(
                        "Mismatched section id in footer for 0000:00:01.0/reg - read 0x9 expected"
                                + " 0x3"),
                footer.notes());
        assertEquals(
                List.of("Can't find block rox"),
                refused(replace(good, "0000000000000203726f6d", "0000000000000203726f78")).notes());
        assertEquals(
                List.of("Illegal RAM offset 7000"),
                refused(replace(good, "0000000000002022", "0000000000007022")).notes());
        assertEquals(
                "MIG_CMD 0xc unknown (len 0x0)",
                refused(replace(good, "08000b0000", "08000c0000")).getMessage());
        // Without the path, as old senders write it.
        byte[] old =
                replace(
                        good,
                        "10" + HexFormat.of().formatHex("0000:00:01.0/reg".getBytes()),
                        "03" + HexFormat.of().formatHex("reg".getBytes()));
        Half to = new Half();
        to.load(old);
        assertEquals(0xabcd, to.register.value);
    }

    /** Whatever the bytes are, the loader ends with an exception of its own or loads. */
    @Test
    void anyDamageIsAnError() throws IOException {
        byte[] good = source().save();
        Random random = new Random(3);
        for (int i = 0; i < 3000; i++) {
            byte[] bad = good.clone();
            if (i % 3 == 0) {
                bad = Arrays.copyOf(good, random.nextInt(good.length));
            } else {
                for (int n = random.nextInt(4); n >= 0; n--) {
                    int at = random.nextBoolean() ? random.nextInt(90) : random.nextInt(bad.length);
                    bad[at] = (byte) random.nextInt();
                }
            }
            try {
                new Half().load(bad);
            } catch (IOException e) {
                assertFalse(String.valueOf(e.getMessage()).isEmpty());
            }
        }
    }

    @Test
    void deltasAreApplied() {
        byte[] page = new byte[PAGE];
        Arrays.fill(page, (byte) 7);
        // keep 2, replace 3, keep 200, replace 1
        byte[] delta = {2, 3, 1, 2, 3, (byte) 0xc8, 1, 1, 9};
        assertTrue(RamLoader.decode(delta, page));
        byte[] expected = new byte[PAGE];
        Arrays.fill(expected, (byte) 7);
        expected[2] = 1;
        expected[3] = 2;
        expected[4] = 3;
        expected[205] = 9;
        assertArrayEquals(expected, page);
        assertFalse(RamLoader.decode(new byte[] {0, 0}, page));
        assertFalse(RamLoader.decode(new byte[] {0, 5, 1}, page));
        assertFalse(RamLoader.decode(new byte[] {(byte) 0x80}, page));
    }

    /** Of five pieces and a bit three are kept, and more goes in order; then all the rest. */
    @Test
    void keepsWhatIsNotToBeSentYet() throws Exception {
        Memory memory = new Memory();
        StreamOutput out = new StreamOutput(memory);
        byte[] first = {1, 2, 3};
        out.bytes(first, 0, first.length);
        out.flush();
        byte[] bytes = new byte[5 * StreamOutput.CAPACITY + 100];
        new Random(3).nextBytes(bytes);
        try (StreamStore store = new StreamStore(3L * StreamOutput.CAPACITY)) {
            for (int round = 1; round <= 2; round++) {
                store.prepare(bytes.length / round);
                long before = out.sent();
                out.keep(store);
                out.bytes(bytes, 0, 100);
                assertEquals(before, out.sent());
                out.bytes(bytes, 100, bytes.length - 100);
                assertEquals(before + bytes.length, out.position());
                assertTrue(out.sent() >= before + 2L * StreamOutput.CAPACITY);
                assertTrue(out.sent() <= before + 3L * StreamOutput.CAPACITY);
                out.flush();
                assertEquals(out.position(), out.sent());
            }
        }
        out.bytes(first, 0, first.length);
        out.flush();
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        expected.writeBytes(first);
        expected.writeBytes(bytes);
        expected.writeBytes(bytes);
        expected.writeBytes(first);
        assertArrayEquals(expected.toByteArray(), memory.bytes.toByteArray());
    }
}
