package lockstep.block.luks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.block.node.BlockException;

import org.junit.jupiter.api.Test;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Volumes' headers that are not as they should be. */
class LuksHeaderTest {
    private static final byte[] PASSWORD = "letmein".getBytes(StandardCharsets.UTF_8);
    private static final int DIGEST_ROUNDS_AT = 164;
    private static final int SECOND_SLOT_AT = 208 + 48;
    private static final int ACTIVE = 0x00ac71f3;

    private static MemorySegment fresh() throws BlockException {
        return LuksHeader.create(LuksHeader.Kind.DEFAULT, PASSWORD, "s", 1).bytes();
    }

    private static void unlock(MemorySegment header, String password) throws BlockException {
        LuksHeader.Storage storage =
                (offset, target) ->
                        MemorySegment.copy(header, offset, target, 0, target.byteSize());
        LuksHeader.read(storage).unlock(storage, password.getBytes(StandardCharsets.UTF_8), "s");
    }

    private static ByteBuffer fields(MemorySegment header) {
        return header.asByteBuffer().order(ByteOrder.BIG_ENDIAN);
    }

    @Test
    void onlyThePasswordOpensIt() throws BlockException {
        MemorySegment header = fresh();
        unlock(header, "letmein");
        BlockException wrong = assertThrows(BlockException.class, () -> unlock(header, "letmeout"));
        assertEquals("Invalid password, cannot unlock any keyslot", wrong.getMessage());
    }

    @Test
    void whoOpensItDoesNotWaitForHours() throws BlockException {
        MemorySegment digest = fresh();
        fields(digest).putInt(DIGEST_ROUNDS_AT, -1);
        assertThrows(BlockException.class, () -> unlock(digest, "letmein"));
        MemorySegment slot = fresh();
        int least = fields(slot).getInt(DIGEST_ROUNDS_AT);
        ByteBuffer second = fields(slot);
        second.putInt(SECOND_SLOT_AT, ACTIVE);
        second.putInt(SECOND_SLOT_AT + 4, -1);
        BlockException refused = assertThrows(BlockException.class, () -> unlock(slot, "letmein"));
        long first = second.getInt(208 + 4);
        assertEquals(
                "PBKDF iterations "
                        + (first + 0xffffffffL + 2L * least)
                        + " are more than 134217728",
                refused.getMessage());
    }
}
