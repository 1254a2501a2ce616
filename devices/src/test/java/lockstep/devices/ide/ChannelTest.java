package lockstep.devices.ide;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.Sections;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.StateException;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;

/** A guest's view of a channel with a disk and a CD drive. */
class ChannelTest {
    private static final int STATUS = 7;

    @AutoClose private final TestMachine machine = TestMachine.ofRam(1 << 20);
    private final GuestMemory memory = machine.dma();
    private final FakeDisk disk = new FakeDisk(2048);
    private final FakeDisk disc = new FakeDisk(4 * 300);
    private final Level irq = new Level();
    private final Channel channel = channel(irq);

    private Channel channel(Level level) {
        Channel ch = new Channel(level, memory);
        ch.plug(0, new Drive(Drive.Kind.DISK, identity("QEMU HARDDISK", 2048), disk));
        ch.plug(1, new Drive(Drive.Kind.CDROM, identity("QEMU DVD-ROM", 0), disc));
        return ch;
    }

    private static DriveIdentity identity(String model, long sectors) {
        return new DriveIdentity(
                "QM00001", model, "2.5+", 0, DriveIdentity.Geometry.of(sectors), 0, 0);
    }

    private void command(int select, int count, long lba, int command) {
        channel.write(6, select);
        channel.write(2, count);
        channel.write(3, (int) lba & 0xff);
        channel.write(4, (int) (lba >> 8) & 0xff);
        channel.write(5, (int) (lba >> 16) & 0xff);
        channel.write(7, command);
    }

    @Test
    void identifyNamesTheDisk() {
        command(0xe0, 0, 0, AtaSpec.IDENTIFY);
        assertTrue(irq.level);
        assertEquals(0x58, channel.read(STATUS));
        assertFalse(irq.level);
        int[] words = new int[256];
        for (int i = 0; i < 256; i++) {
            words[i] = channel.readData(2);
        }
        assertEquals(0x50, channel.read(STATUS));
        assertEquals('Q' << 8 | 'M', words[10]);
        assertEquals('Q' << 8 | 'E', words[27]);
        assertEquals(2048, words[60] | words[61] << 16);
        assertEquals(0x203f, words[88]);
        assertEquals(0xffff, channel.readData(2) & 0xffff);
    }

    @Test
    void readsSectorsByProgrammedIo() {
        command(0xe0, 2, 5, AtaSpec.READ_SECTORS);
        assertEquals(0xd0, channel.read(STATUS));
        disk.run();
        for (int s = 5; s < 7; s++) {
            assertTrue(irq.level);
            assertEquals(0x58, channel.read(STATUS));
            for (int i = 0; i < 128; i++) {
                assertEquals(disk.word(s * 512 + 4 * i), channel.readData(4));
            }
            disk.run();
        }
        assertEquals(0x50, channel.read(STATUS));
    }

    @Test
    void writesSectorsByProgrammedIoAndRefusesWhatIsBeyondTheEnd() {
        command(0xe0, 1, 9, AtaSpec.WRITE_SECTORS);
        for (int i = 0; i < 256; i++) {
            channel.writeData(2, i);
        }
        disk.run();
        assertEquals(0x50, channel.read(STATUS));
        assertEquals(0x00ff, disk.word(9 * 512 + 510) & 0xffff);

        command(0xe0, 1, 2048, AtaSpec.READ_SECTORS);
        assertEquals(0x41, channel.read(STATUS));
        assertEquals(AtaSpec.ABRT, channel.read(1));
    }

    @Test
    void movesSectorsByDmaThroughAScatteredTable() {
        descriptor(0x1000, 0x2000, 512, false);
        descriptor(0x1008, 0x8000, 1024, true);
        master(4, 0x00, 0x10, 0, 0);
        channel.writeMaster(0, AtaSpec.BM_TO_MEMORY);
        command(0xe0, 3, 1, AtaSpec.READ_DMA);
        assertEquals(0x58, channel.alternateStatus());
        channel.writeMaster(0, AtaSpec.BM_TO_MEMORY | AtaSpec.BM_START);
        assertEquals(1, channel.master.read(2));
        disk.run();
        assertTrue(irq.level);
        assertEquals(AtaSpec.BM_INTERRUPT, channel.master.read(2));
        assertEquals(disk.word(512), memory.readInt(0x2000));
        assertEquals(disk.word(1024), memory.readInt(0x8000));
        assertEquals(disk.word(2044), memory.readInt(0x8000 + 1020));
        assertEquals(0x50, channel.read(STATUS));
    }

    @Test
    void stopsSilentlyWhenTheTableIsTooShort() {
        descriptor(0x1000, 0x2000, 512, true);
        master(4, 0x00, 0x10, 0, 0);
        channel.writeMaster(0, AtaSpec.BM_TO_MEMORY | AtaSpec.BM_START);
        command(0xe0, 2, 0, AtaSpec.READ_DMA);
        assertFalse(irq.level);
        assertEquals(0, channel.master.read(2));
        assertEquals(0x50, channel.read(STATUS));
    }

    @Test
    void trimsRanges() {
        memory.writeLong(0x2000, 16L << 48 | 32);
        memory.writeLong(0x2008, 8L << 48 | 100);
        descriptor(0x1000, 0x2000, 512, true);
        master(4, 0x00, 0x10, 0, 0);
        channel.write(1, 1);
        channel.write(2, 0);
        command(0xe0, 1, 0, AtaSpec.DATA_SET_MANAGEMENT);
        channel.writeMaster(0, AtaSpec.BM_START);
        disk.run();
        disk.run();
        assertEquals("32*512+16*512 100*512+8*512 ", disk.discarded.toString());
        assertTrue(irq.level);
    }

    @Test
    void aPacketReadArrivesInPiecesOfTheByteLimit() {
        packet(0x0c00, 0x28, 0, 0, 0, 0, 2, 0, 0, 2, 0);
        disc.run();
        int got = 0;
        while ((channel.read(STATUS) & AtaSpec.DRQ) != 0) {
            int size = channel.read(4) | channel.read(5) << 8;
            assertTrue(size <= 0x0c00);
            for (int i = 0; i < size; i += 4) {
                assertEquals(disc.word(2 * 2048 + got + i), channel.readData(4));
            }
            got += size;
        }
        assertEquals(4096, got);
        assertEquals(3, channel.read(2) & 7);
    }

    @Test
    void anEmptyDriveSaysSo() {
        disc.present = false;
        packet(8, 0x00);
        assertEquals(0x41, channel.read(STATUS));
        assertEquals(0x20, channel.read(1));
        packet(18, 0x03, 0, 0, 0, 18);
        byte[] sense = new byte[18];
        for (int i = 0; i < 18; i += 2) {
            int v = channel.readData(2);
            sense[i] = (byte) v;
            sense[i + 1] = (byte) (v >> 8);
        }
        assertEquals(2, sense[2]);
        assertEquals(0x3a, sense[12]);
    }

    private int[] senseKeyAndCode() {
        channel.read(STATUS);
        packet(18, 0x03, 0, 0, 0, 18);
        byte[] sense = reply(18);
        return new int[] {sense[2], sense[12]};
    }

    private byte[] reply(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i += 2) {
            int v = channel.readData(2);
            bytes[i] = (byte) v;
            bytes[i + 1] = (byte) (v >> 8);
        }
        return bytes;
    }

    private CdTray tray() {
        return new CdTray(channel.drives[1], channel::interrupt);
    }

    @Test
    void aGuestSeesAnExchangedMediumOnceAsAbsentThenAsChanged() {
        CdTray tray = tray();
        tray.move(true);
        assertTrue(irq.level, "the guest is told to look");
        packet(8, 0x00);
        assertArrayEquals(new int[] {2, 0x3a}, senseKeyAndCode(), "an open tray holds nothing");
        tray.move(false);
        packet(8, 0x00);
        assertArrayEquals(new int[] {2, 0x3a}, senseKeyAndCode(), "not ready, no medium");
        packet(8, 0x00);
        assertArrayEquals(new int[] {6, 0x28}, senseKeyAndCode(), "unit attention, changed");
        packet(8, 0x00);
        assertEquals(0x50, channel.read(STATUS), "ready");
    }

    @Test
    void eventStatusTellsOfTheTrayAndOfTheButton() {
        CdTray tray = tray();
        packet(8, 0x1e, 0, 0, 0, 1);
        assertTrue(tray.locked());
        tray.requestEject(false);
        assertTrue(tray.locked());
        packet(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
        byte[] event = reply(8);
        assertEquals(1, event[4], "the user asks for the medium");
        assertEquals(2, event[5], "a medium in a closed tray");
        tray.requestEject(true);
        assertFalse(tray.locked());
        tray.move(true);
        packet(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
        event = reply(8);
        assertEquals(2, event[4], "another medium");
        assertEquals(1, event[5], "an open tray");
    }

    @Test
    void theHostHearsOfTheTrayThatTheGuestMoves() {
        packet(8, 0x1b, 0, 0, 0, 2);
        packet(8, 0x1b, 0, 0, 0, 2);
        packet(8, 0x1b, 0, 0, 0, 3);
        assertEquals("open closed ", disc.moves.toString());
        packet(8, 0x1e, 0, 0, 0, 1);
        packet(8, 0x1b, 0, 0, 0, 2);
        assertEquals(0x41, channel.read(STATUS), "a locked tray stays closed");
        assertEquals("open closed ", disc.moves.toString());
    }

    @Test
    void theSectionHasTheRightSizeAndCarriesATransfer() throws Exception {
        Channel other = new Channel(new Level(), memory);
        assertEquals(942 - 276, save(new Channel(new Level(), memory), other).length + 512);

        command(0xe0, 0, 0, AtaSpec.IDENTIFY);
        for (int i = 0; i < 256; i++) {
            channel.readData(2);
        }
        command(0xe0, 4, 3, AtaSpec.READ_SECTORS);
        disk.run();
        assertEquals(disk.word(3 * 512), channel.readData(4));
        byte[] bytes = save(channel, other);
        Channel copy = channel(new Level());
        load(bytes, copy, new Channel(new Level(), memory));
        assertArrayEquals(bytes, save(copy, other));
        assertEquals(disk.word(3 * 512 + 4), copy.readData(4));
    }

    @Test
    void aRequestThatIsKeptForARetryStartsAgainElsewhere() throws Exception {
        descriptor(0x1000, 0x2000, 1024, true);
        master(4, 0x00, 0x10, 0, 0);
        channel.writeMaster(0, AtaSpec.BM_TO_MEMORY | AtaSpec.BM_START);
        command(0xe0, 2, 7, AtaSpec.READ_DMA);
        Channel other = new Channel(new Level(), memory);
        byte[] bytes = save(channel, other);
        Level line = new Level();
        Channel copy = channel(line);
        assertThrows(
                StateException.class, () -> load(bytes, copy, new Channel(new Level(), memory)));
        disk.keeping = true;
        load(bytes, copy, new Channel(new Level(), memory));
        copy.loaded();
        assertTrue(copy.restartPending());
        copy.restart();
        disk.run();
        disk.run();
        assertTrue(line.level);
        assertEquals(disk.word(7 * 512), memory.readInt(0x2000));
    }

    @Test
    void anythingGoes() {
        java.util.Random random = new java.util.Random(11);
        for (int i = 0; i < 300_000; i++) {
            switch (random.nextInt(12)) {
                case 0, 1, 2, 3 -> channel.write(1 + random.nextInt(6), random.nextInt(256));
                case 4 -> channel.write(7, random.nextInt(256));
                case 5 -> channel.read(random.nextInt(8));
                case 6 -> channel.readData(1 << random.nextInt(3));
                case 7 -> {
                    for (int n = 0; n < 6; n++) {
                        channel.writeData(2, random.nextInt(0x10000));
                    }
                }
                case 8 -> channel.writeMaster(random.nextInt(8), random.nextInt(256));
                case 9 -> {
                    disk.run();
                    disc.run();
                }
                case 10 -> memory.writeInt(4 * random.nextInt(1 << 16), random.nextInt());
                default -> {
                    if (random.nextInt(20) == 0) {
                        channel.writeControl(random.nextInt(256));
                    }
                }
            }
        }
    }

    @Test
    void noiseInTheSectionIsRefusedOrHarmless() throws Exception {
        java.util.Random random = new java.util.Random(13);
        command(0xe0, 4, 3, AtaSpec.READ_SECTORS);
        disk.run();
        byte[] good = save(channel, new Channel(new Level(), memory));
        for (int round = 0; round < 200; round++) {
            byte[] bytes = good.clone();
            for (int i = 0; i < 4; i++) {
                bytes[random.nextInt(140)] = (byte) random.nextInt();
            }
            Channel copy = channel(new Level());
            try {
                load(bytes, copy, new Channel(new Level(), memory));
            } catch (lockstep.runtime.vmstate.StateException refused) {
                continue;
            }
            copy.loaded();
            copy.restart();
            for (int i = 0; i < 600; i++) {
                copy.readData(4);
                copy.read(STATUS);
                disk.run();
            }
        }
    }

    @Test
    void softwareResetShowsTheSignatures() {
        channel.writeControl(AtaSpec.CONTROL_SRST);
        channel.writeControl(0);
        assertEquals(0x50, channel.read(STATUS));
        channel.write(6, 0xb0);
        assertEquals(0x14, channel.read(4));
        assertEquals(0xeb, channel.read(5));
    }

    private void packet(int limit, int... bytes) {
        channel.write(6, 0xb0);
        channel.write(1, 0);
        channel.write(4, limit & 0xff);
        channel.write(5, limit >> 8);
        channel.write(7, AtaSpec.PACKET);
        assertEquals(AtaSpec.DRQ, channel.read(STATUS) & AtaSpec.DRQ);
        for (int i = 0; i < 12; i += 2) {
            int low = i < bytes.length ? bytes[i] : 0;
            int high = i + 1 < bytes.length ? bytes[i + 1] : 0;
            channel.writeData(2, low | high << 8);
        }
    }

    private void descriptor(int at, int address, int length, boolean last) {
        memory.writeInt(at, address);
        memory.writeInt(at + 4, length | (last ? 0x80000000 : 0));
    }

    private void master(int register, int... bytes) {
        for (int i = 0; i < bytes.length; i++) {
            channel.writeMaster(register + i, bytes[i]);
        }
    }

    private static byte[] save(Channel first, Channel second) throws Exception {
        Channel[] both = {first, second};
        return Sections.save("ide", c -> IdeState.describe(c, both));
    }

    private static void load(byte[] bytes, Channel first, Channel second) throws Exception {
        Channel[] both = {first, second};
        Sections.load("ide", bytes, c -> IdeState.describe(c, both));
    }

    private static final class Level implements lockstep.runtime.machine.Irq {
        boolean level;

        @Override
        public void set(boolean to) {
            level = to;
        }
    }
}
