package lockstep.block.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.block.node.BlockException;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;

/** The protocol's numbers however the network cuts them, and what a client agrees to. */
class NbdPropertiesTest {
    @Property(tries = 300)
    void numbersAreReadHoweverTheyAreCut(
            @ForAll short a,
            @ForAll int b,
            @ForAll long c,
            @ForAll @Size(max = 300) byte[] data,
            @ForAll @IntRange(min = 1, max = 20) int piece)
            throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        for (int i = 0; i < 2; i++) {
            out.writeShort(a);
            out.writeInt(b);
            out.write(data);
            out.writeLong(c);
        }
        try (NbdStream in = new NbdStream(new ScriptedChannel(bytes.toByteArray(), piece))) {
            assertEquals(a & 0xffff, in.readShort());
            assertEquals(b, in.readInt());
            assertArrayEquals(data, in.readBytes(data.length));
            assertEquals(c, in.readLong());
            in.skip(6 + data.length);
            assertEquals(c, in.readLong());
            assertThrows(EOFException.class, in::readInt);
        }
    }

    private static void reply(DataOutputStream out, int option, int type, byte[] data)
            throws IOException {
        out.writeLong(Nbd.OPTION_REPLY_MAGIC);
        out.writeInt(option);
        out.writeInt(type);
        out.writeInt(data.length);
        out.write(data);
    }

    /** What a server says that has an export of this size and these block sizes. */
    private static byte[] server(long size, short flags, int least, int most) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeLong(Nbd.INIT_MAGIC);
        out.writeLong(Nbd.OPTION_MAGIC);
        out.writeShort(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES);
        reply(out, Nbd.OPT_STRUCTURED_REPLY, Nbd.REP_ERR_UNSUP, new byte[0]);
        ByteArrayOutputStream info = new ByteArrayOutputStream();
        DataOutputStream item = new DataOutputStream(info);
        item.writeShort(Nbd.INFO_EXPORT);
        item.writeLong(size);
        item.writeShort(flags);
        reply(out, Nbd.OPT_GO, Nbd.REP_INFO, info.toByteArray());
        info.reset();
        item.writeShort(Nbd.INFO_BLOCK_SIZE);
        item.writeInt(least);
        item.writeInt(4096);
        item.writeInt(most);
        reply(out, Nbd.OPT_GO, Nbd.REP_INFO, info.toByteArray());
        reply(out, Nbd.OPT_GO, Nbd.REP_ACK, new byte[0]);
        return bytes.toByteArray();
    }

    @Property(tries = 300)
    void aClientAgreesToWhatItCanWorkWithOnly(
            @ForAll long size,
            @ForAll short flags,
            @ForAll int least,
            @ForAll int most,
            @ForAll @IntRange(max = 20) int shift,
            @ForAll boolean sane)
            throws IOException {
        int smallest = sane ? 1 << shift : least;
        byte[] said = server(size, flags, smallest, most);
        NbdStream stream = new NbdStream(new ScriptedChannel(said, 4096));
        NbdHandshake.Result agreed;
        try {
            agreed = new NbdHandshake(stream, "x", null, null).negotiate();
        } catch (BlockException e) {
            assertEquals(false, String.valueOf(e.getMessage()).isBlank());
            return;
        }
        assertEquals(size, agreed.size());
        assertTrue(size >= 0);
        assertEquals(flags & 0xffff, agreed.flags());
        assertEquals(1, Integer.bitCount(agreed.minBlock()));
        assertTrue(agreed.minBlock() > 0 && agreed.minBlock() <= 1 << 16);
        assertTrue(agreed.maxBlock() >= agreed.minBlock() && agreed.maxBlock() <= Nbd.PAYLOAD_MAX);
    }
}
