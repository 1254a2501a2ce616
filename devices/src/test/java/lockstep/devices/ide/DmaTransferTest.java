package lockstep.devices.ide;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.linux.Errno;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.BlockDirtyLog;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.memory.LittleEndian;
import lockstep.runtime.memory.RamPiece;
import lockstep.runtime.memory.RegionMap;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Random;

/** What DMA does, seen from the guest: it does not matter whether the medium fills the guest's memory by itself. */
class DmaTransferTest {
    private static final int SIZE = 1 << 20;
    private static final int TABLE = 0x1000;
    private static final int STATUS = 7;

    private final Random random = new Random(20);
    private Guest inPlace;
    private Guest copied;

    @BeforeEach
    void start() throws Exception {
        inPlace = new Guest(true);
        copied = new Guest(false);
    }

    @AfterEach
    void stop() {
        inPlace.ram.close();
        copied.ram.close();
    }

    @Test
    void isTheSameInPlaceAndThroughTheBuffer() {
        int moved = 0;
        for (int round = 0; round < 1500; round++) {
            int[] table = table();
            int sectors = 1 + random.nextInt(random.nextInt(8) == 0 ? 700 : 40);
            int first = random.nextInt(inPlace.disk.bytes.length / 512 - sectors);
            boolean read = random.nextBoolean();
            boolean cd = read && random.nextInt(4) == 0;
            int error = random.nextInt(10) == 0 ? Errno.EIO : 0;
            for (Guest guest : List.of(inPlace, copied)) {
                guest.describe(table);
                guest.disk.error = error;
                guest.disc.error = error;
                if (cd) {
                    guest.readDisc(first / 4, Math.max(1, sectors / 4));
                } else {
                    guest.move(first, sectors, read);
                }
            }
            String what = "round " + round;
            assertEquals(copied.registers(), inPlace.registers(), what);
            assertEquals(-1, copied.ram.memory().mismatch(inPlace.ram.memory()), what);
            assertArrayEquals(copied.disk.bytes, inPlace.disk.bytes, what);
            assertEquals(copied.device.toString(), inPlace.device.toString(), what);
            long[] pages = copied.dirty();
            long[] filled = inPlace.dirty();
            for (int i = 0; i < pages.length; i++) {
                // Who fills by itself and fails may have done so half way.
                assertEquals(pages[i], error == 0 ? filled[i] : filled[i] & pages[i], what);
                moved += Long.bitCount(pages[i]);
            }
        }
        assertTrue(moved > 1000, "pages that were written: " + moved);
        assertTrue(inPlace.taken > 500, "pieces in place: " + inPlace.taken);
    }

    /** Up to seven regions, most of them in RAM, as pairs of address and length with the end's mark. */
    private int[] table() {
        int count = 1 + random.nextInt(7);
        int[] words = new int[2 * count];
        int after = 0x20000;
        for (int i = 0; i < count; i++) {
            int length = random.nextInt(3) == 0 ? 0x10000 : 512 + 2 * random.nextInt(0x4000);
            int address =
                    switch (random.nextInt(8)) {
                        case 0 -> 0x2000 + 2 * random.nextInt(0x8000); // across device, ROM and RAM
                        case 1 -> SIZE - 2 * random.nextInt(0x8000); // over the end
                        case 2, 3, 4 -> after; // goes on
                        default -> 0x12000 + 2 * random.nextInt(0x50000);
                    };
            words[2 * i] = address;
            words[2 * i + 1] = length & 0xffff | (i == count - 1 ? 0x80000000 : 0);
            after = Math.min(address + length, SIZE - 0x20000);
        }
        return words;
    }

    /** A channel with a disk and a disc, and memory with a device and ROM in it. */
    private static final class Guest {
        final AnonymousRam ram = new AnonymousRam("pc.ram", SIZE, SIZE);
        final BlockDirtyLog log = new BlockDirtyLog(() -> List.of(ram), null);
        final FakeDisk disk = new FakeDisk(2048);
        final FakeDisk disc = new FakeDisk(2048);
        final StringBuilder device = new StringBuilder();
        final boolean[] irq = new boolean[1];
        final Channel channel;
        int taken;

        Guest(boolean inPlace) throws Exception {
            RegionMap map = RegionMap.memory(null);
            map.mapRam("low", 0, 0xa000, ram, 0, 0);
            map.mapIo(
                    "device",
                    0xa000,
                    0x1000,
                    0,
                    new IoHandler() {
                        @Override
                        public long read(long offset, int size) {
                            device.append('r').append(offset);
                            return offset * 0x01010101L;
                        }

                        @Override
                        public void write(long offset, int size, long value) {
                            device.append('w').append(offset).append('=').append(value);
                        }
                    });
            map.mapRam("rom", 0xb000, 0x3000, ram, 0xb000, 0).readOnly(true);
            map.mapRam("high", 0xe000, SIZE - 0xe000, ram, 0xe000, 0);
            BusMemory memory = new BusMemory(map);
            channel = new Channel(level -> irq[0] = level, seen(memory, inPlace));
            channel.plug(0, drive(Drive.Kind.DISK, disk));
            channel.plug(1, drive(Drive.Kind.CDROM, disc));
            Random content = new Random(7);
            for (int i = 0; i < SIZE; i += 4) {
                ram.memory().set(LittleEndian.INT, i, content.nextInt());
            }
            log.start();
        }

        private GuestMemory seen(BusMemory memory, boolean inPlace) {
            InvocationHandler handler =
                    (proxy, method, arguments) -> {
                        boolean asked = method.getName().equals("ram");
                        @Nullable Object answer =
                                asked && !inPlace ? null : method.invoke(memory, arguments);
                        taken += answer instanceof RamPiece ? 1 : 0;
                        return answer;
                    };
            return (GuestMemory)
                    Proxy.newProxyInstance(
                            GuestMemory.class.getClassLoader(),
                            new Class<?>[] {GuestMemory.class},
                            handler);
        }

        private static Drive drive(Drive.Kind kind, FakeDisk disk) {
            return new Drive(
                    kind,
                    new DriveIdentity("1", "M", "1", 0, DriveIdentity.Geometry.of(2048), 0, 0),
                    disk);
        }

        void describe(int[] table) {
            for (int i = 0; i < table.length; i++) {
                ram.memory().set(LittleEndian.INT, TABLE + 4 * i, table[i]);
            }
            for (int i = 0; i < 4; i++) {
                channel.writeMaster(4 + i, TABLE >> 8 * i & 0xff);
            }
        }

        /** Reads or writes sectors, 28-bit addresses up to 256 of them, 48-bit ones for more. */
        void move(int first, int sectors, boolean read) {
            channel.write(6, 0xe0);
            channel.write(2, sectors >> 8);
            channel.write(2, sectors & 0xff);
            channel.write(3, 0);
            channel.write(3, first & 0xff);
            channel.write(4, 0);
            channel.write(4, first >> 8);
            channel.write(5, 0);
            channel.write(5, 0);
            channel.write(7, read ? AtaSpec.READ_DMA_EXT : AtaSpec.WRITE_DMA_EXT);
            run(read);
        }

        void readDisc(int first, int blocks) {
            channel.write(6, 0xf0);
            channel.write(1, 1);
            channel.write(7, AtaSpec.PACKET);
            int[] packet = {0x28, 0, 0, 0, first >> 8, first, 0, blocks >> 8, blocks, 0, 0, 0};
            for (int i = 0; i < 12; i += 2) {
                channel.writeData(2, packet[i] & 0xff | (packet[i + 1] & 0xff) << 8);
            }
            run(true);
        }

        private void run(boolean read) {
            int direction = read ? AtaSpec.BM_TO_MEMORY : 0;
            channel.writeMaster(0, direction | AtaSpec.BM_START);
            disk.drain();
            disc.drain();
            channel.writeMaster(0, direction);
        }

        String registers() {
            StringBuilder text = new StringBuilder();
            text.append(irq[0]).append(channel.master.read(2));
            for (int i = 1; i <= STATUS; i++) {
                text.append(' ').append(channel.read(i));
            }
            channel.writeMaster(2, 6);
            return text.toString();
        }

        long[] dirty() {
            long[] pages = new long[SIZE / 4096 / 64];
            log.collect(ram, pages);
            return pages;
        }
    }
}
