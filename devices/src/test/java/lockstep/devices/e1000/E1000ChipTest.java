package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.Sections;
import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

class E1000ChipTest {
    private static final byte[] MAC = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    private static final int TX = 0x1000;
    private static final int RX = 0x2000;

    @AutoClose private final TestMachine machine = TestMachine.ofRam(1 << 20);
    private final GuestMemory memory = machine.dma();
    private final FakeBoard board = new FakeBoard();
    private final E1000Chip chip = new E1000Chip(board, memory, MAC, 0x100e);

    @Test
    void eepromReadsTheAddressBitByBit() {
        assertEquals(0x5452, microwire(0));
        assertEquals(0x1200, microwire(1));
        assertEquals(0x100e, microwire(0x0d));
        int sum = 0;
        for (int i = 0; i < 64; i++) {
            chip.write(EERD, i << 8 | EERD_START);
            int value = chip.read(EERD);
            assertTrue((value & EERD_DONE) != 0);
            sum += value >>> 16;
        }
        assertEquals(0xbaba, sum & 0xffff);
    }

    private int microwire(int address) {
        pins(0, 0);
        int command = 6 << 6 | address;
        for (int i = 8; i >= 0; i--) {
            int bit = (command >> i & 1) != 0 ? EECD_DI : 0;
            pins(EECD_CS | bit, EECD_SK);
        }
        int word = 0;
        for (int i = 0; i < 16; i++) {
            chip.write(EECD, EECD_CS);
            word = word << 1 | ((chip.read(EECD) & EECD_DO) != 0 ? 1 : 0);
            chip.write(EECD, EECD_CS | EECD_SK);
        }
        chip.write(EECD, 0);
        return word;
    }

    private void pins(int value, int clock) {
        chip.write(EECD, value);
        chip.write(EECD, value | clock);
        chip.write(EECD, value);
    }

    @Test
    void phyNegotiatesAgainAfterARestart() {
        assertEquals(0x0141, mdi(2));
        chip.write(MDIC, MDIC_WRITE | 1 << 21 | 0x1200);
        assertFalse(chip.linked());
        assertEquals(500_000_000, board.negotiation);
        chip.write(IMS, ICR_LSC);
        chip.negotiated();
        assertTrue(board.irq);
        assertTrue(chip.linked());
        assertEquals(0x24, mdi(1) & 0x24);
        chip.write(MDIC, MDIC_READ | 1 << 21 | 31 << 16);
        assertTrue((chip.read(MDIC) & MDIC_ERROR) != 0);
    }

    private int mdi(int register) {
        chip.write(MDIC, MDIC_READ | 1 << 21 | register << 16);
        return chip.read(MDIC) & 0xffff;
    }

    @Test
    void interruptsWaitForTheDelay() {
        chip.write(IMS, ICR_LSC);
        chip.write(ICS, ICR_LSC);
        assertTrue(board.irq);
        assertEquals(500 * 256, board.mitigation);
        assertEquals(ICR_LSC, chip.read(ICR));
        assertFalse(board.irq);
        chip.write(ICS, ICR_LSC);
        assertFalse(board.irq);
        chip.mitigationOver();
        assertTrue(board.irq);
    }

    @Test
    void sendsAFrameWithAChecksum() {
        byte[] frame = new byte[64];
        Arrays.fill(frame, (byte) 1);
        memory.write(0x8000, frame, 0, 64);
        context(TX, 0, 14, 24, 33, 0, 0, 0, 0);
        data(TX + 16, 0x8000, 64, TXD_EOP | TXD_RS, POPTS_IXSM << 8);
        transmit(2);
        byte[] sent = board.sent.getFirst();
        assertEquals(64, sent.length);
        int sum = 0;
        for (int i = 14; i < 34; i += 2) {
            sum += i == 24 ? 0x0101 : BigEndian.get16(sent, i);
        }
        // The field's former content takes part, as it is software's business to clear it.
        assertEquals(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, BigEndian.get16(sent, 24));
        assertEquals(2, chip.read(TDH));
        assertEquals(TXD_DD, memory.readInt(TX + 16 + 12) & TXD_DD);
        assertEquals(1, chip.read(TPT));
        assertEquals(0, chip.read(TPT));
    }

    @Test
    void cutsALargeSendIntoSegments() {
        byte[] frame = new byte[54 + 2500];
        frame[14] = 0x45;
        frame[54 - 7] = 0x19;
        for (int i = 54; i < frame.length; i++) {
            frame[i] = (byte) i;
        }
        memory.write(0x8000, frame, 0, frame.length);
        context(TX, TXD_TSE | TXC_TCP | TXC_IP, 14, 24, 33, 34, 50, 54, 1000);
        memory.writeInt(TX + 8, memory.readInt(TX + 8) | 2500);
        data(TX + 16, 0x8000, frame.length, TXD_EOP | TXD_TSE, (POPTS_IXSM | POPTS_TXSM) << 8);
        transmit(2);
        assertEquals(3, board.sent.size());
        assertEquals(1054, board.sent.get(0).length);
        assertEquals(554, board.sent.get(2).length);
        assertEquals(1040, BigEndian.get16(board.sent.get(0), 16));
        assertEquals(2, BigEndian.get16(board.sent.get(2), 18));
        assertEquals(2000, BigEndian.get16(board.sent.get(2), 40));
        assertEquals(0x10, board.sent.get(0)[47]);
        assertEquals(0x19, board.sent.get(2)[47]);
        assertEquals(frame[54 + 2000], board.sent.get(2)[54]);
        int sum = 0;
        for (int i = 14; i < 34; i += 2) {
            sum += BigEndian.get16(board.sent.get(1), i);
        }
        assertEquals(0xffff, (sum & 0xffff) + (sum >>> 16));
    }

    @Test
    void framesStayInTheRingWhileTheBoardIsFull() {
        board.full = true;
        data(TX, 0x8000, 64, TXD_EOP | TXD_RS, 0);
        data(TX + 16, 0x8000, 65, TXD_EOP | TXD_RS, 0);
        transmit(0);
        chip.read(ICR);
        chip.write(TDT, 2);
        assertEquals(0, board.sent.size());
        assertEquals(0, chip.read(TDH));
        assertEquals(0, memory.readInt(TX + 12) & TXD_DD);
        assertEquals(0, chip.read(ICR) & ICR_TXQE);
        assertTrue(chip.transmitter.waits());
        board.full = false;
        chip.transmitter.run();
        assertEquals(List.of(64, 65), board.sent.stream().map(f -> f.length).toList());
        assertEquals(ICR_TXQE, chip.read(ICR) & ICR_TXQE);
        assertFalse(chip.transmitter.waits());
    }

    @Test
    void aRingThatNeverReachesItsTailEnds() {
        chip.write(TDBAL, TX);
        chip.write(TDLEN, 128);
        chip.write(TCTL, TCTL_EN);
        chip.write(TDT, 0xffff);
        assertTrue(chip.read(TDH) < 8);
    }

    @Test
    void receivesWhatTheFiltersLetThrough() {
        ring();
        chip.write(RCTL, RCTL_EN | RCTL_BAM);
        byte[] frame = new byte[100];
        System.arraycopy(MAC, 0, frame, 0, 6);
        frame[99] = 7;
        chip.receiver.receive(frame, 0, 100);
        assertEquals(1, chip.read(RDH));
        assertEquals(104, memory.readShort(RX + 8));
        assertEquals(RXD_DD | RXD_EOP | RXD_IXSM, memory.readByte(RX + 12));
        assertEquals(7, memory.readByte(0x10000 + 99));
        frame[0] = 0x54;
        chip.receiver.receive(frame, 0, 100);
        assertEquals(1, chip.read(RDH));
        Arrays.fill(frame, 0, 6, (byte) -1);
        chip.receiver.receive(frame, 0, 100);
        assertEquals(2, chip.read(RDH));
        byte[] multicast = {1, 0, 0x5e, 0, 0, 1};
        System.arraycopy(multicast, 0, frame, 0, 6);
        chip.receiver.receive(frame, 0, 100);
        assertEquals(2, chip.read(RDH));
        int hash = 0x0100 >> 4;
        chip.write(MTA + (hash >> 5), 1 << (hash & 31));
        chip.receiver.receive(frame, 0, 100);
        assertEquals(3, chip.read(RDH));
    }

    @Test
    void spreadsALongFrameAndReportsOverrun() {
        ring();
        chip.write(RCTL, RCTL_EN | RCTL_UPE | 3 << 16);
        chip.receiver.receive(new byte[1000], 0, 1000);
        assertEquals(4, chip.read(RDH));
        assertEquals(RXD_DD, memory.readByte(RX + 12));
        assertEquals(RXD_DD | RXD_EOP | RXD_IXSM, memory.readByte(RX + 3 * 16 + 12));
        chip.receiver.receive(new byte[1000], 0, 1000);
        assertEquals(4, chip.read(RDH));
        assertTrue((chip.read(ICR) & ICR_RXO) != 0);
        chip.receiver.receive(new byte[1600], 0, 1600);
        assertEquals(1, chip.read(ROC));
    }

    @Test
    void stripsVlanTags() {
        ring();
        chip.write(CTRL, CTRL_VME);
        chip.write(RCTL, RCTL_EN | RCTL_UPE | RCTL_SECRC);
        byte[] frame = new byte[80];
        frame[12] = (byte) 0x81;
        frame[15] = 5;
        frame[16] = 8;
        chip.receiver.receive(frame, 0, 80);
        assertEquals(76, memory.readShort(RX + 8));
        assertEquals(5, memory.readShort(RX + 14));
        assertTrue((memory.readByte(RX + 12) & RXD_VP) != 0);
        assertEquals(8, memory.readByte(0x10000 + 12));
    }

    @Test
    void theSectionHas198785BytesWithThePciPart() throws Exception {
        ring();
        chip.write(IMS, 0xff);
        mdi(2);
        byte[] bytes = Sections.save("e1000", c -> E1000State.describe(c, chip));
        assertEquals(198785 - 276, bytes.length);
        E1000Chip copy = new E1000Chip(new FakeBoard(), memory, new byte[6], 0x100e);
        Sections.load("e1000", bytes, c -> E1000State.describe(c, copy));
        assertArrayEquals(bytes, Sections.save("e1000", c -> E1000State.describe(c, copy)));
    }

    private void ring() {
        for (int i = 0; i < 8; i++) {
            memory.writeLong(RX + 16 * i, 0x10000 + 0x1000 * i);
        }
        chip.write(RDBAL, RX);
        chip.write(RDLEN, 128);
        chip.write(RDT, 7);
    }

    private void context(
            int at,
            int flags,
            int ipcss,
            int ipcso,
            int ipcse,
            int tucss,
            int tucso,
            int header,
            int mss) {
        memory.writeInt(at, ipcss | ipcso << 8 | ipcse << 16);
        memory.writeInt(at + 4, tucss | tucso << 8);
        memory.writeInt(at + 8, TXD_DEXT | flags);
        memory.writeInt(at + 12, header << 8 | mss << 16);
    }

    private void data(int at, int buffer, int length, int flags, int options) {
        memory.writeLong(at, buffer);
        memory.writeInt(at + 8, TXD_DEXT | TXD_DATA | flags | length);
        memory.writeInt(at + 12, options);
    }

    private void transmit(int count) {
        chip.write(TDBAL, TX);
        chip.write(TDLEN, 128);
        chip.write(TCTL, TCTL_EN);
        chip.write(TDT, count);
    }

    private static final class FakeBoard implements E1000Chip.Board {
        final List<byte[]> sent = new ArrayList<>();
        boolean full;
        boolean irq;
        long mitigation;
        long negotiation;

        @Override
        public void interrupt(boolean level) {
            irq = level;
        }

        @Override
        public void send(byte[] frame, int offset, int length) {
            sent.add(Arrays.copyOfRange(frame, offset, offset + length));
        }

        @Override
        public void flush() {}

        @Override
        public boolean heldBack() {
            return full;
        }

        @Override
        public void transmitLater() {}

        @Override
        public boolean busMaster() {
            return true;
        }

        @Override
        public boolean cable() {
            return true;
        }

        @Override
        public void addressChanged(byte[] mac) {}

        @Override
        public void mitigate(long nanos) {
            mitigation = nanos;
        }

        @Override
        public void negotiate(long nanos) {
            negotiation = nanos;
        }
    }
}
