package lockstep.block.monitor;

import lockstep.block.node.BlockNode;

import java.nio.charset.StandardCharsets;

/** The parts that migrations of bitmaps are made of. Source: streams of QEMU 7.2, section "dirty-bitmap" version 1. */
final class BitmapStream {
    /** The part ends. */
    static final int END = 0x01;

    /** Bits that are all clear, and not sent. */
    static final int ZEROES = 0x02;

    /** The name of a bitmap follows, else it is the one before. */
    static final int BITMAP = 0x04;

    /** The name of a node follows, else it is the one before. */
    static final int NODE = 0x08;

    static final int START = 0x10;
    static final int COMPLETE = 0x20;
    static final int BITS = 0x40;

    /** More bytes of these follow; none of them has a meaning. */
    static final int MORE = 0x80;

    /** Of a bitmap's start: changes are recorded. */
    static final int ENABLED = 0x01;

    /** Of a bitmap's start: the image keeps it. */
    static final int PERSISTENT = 0x02;

    /** Of a bitmap's start: older senders say so of what is to be loaded by itself. */
    static final int AUTOLOAD = 0x04;

    static final int SECTOR_BITS = 9;

    /** Bytes of bits in a chunk. */
    static final int CHUNK = 1024;

    private static final int ALIGNMENT = 32;

    private BitmapStream() {}

    /** Bytes that so many granules take: whole words of 64 bits. */
    static int bytes(long granules) {
        return (int) ((granules + Long.SIZE - 1) / Long.SIZE * Long.BYTES);
    }

    /** Bytes that a sender gives them. */
    static int padded(int bytes) {
        return bytes + ALIGNMENT - 1 & -ALIGNMENT;
    }

    static byte[] text(String name) {
        return name.getBytes(StandardCharsets.UTF_8);
    }

    /** Whether a node only passes on what is below it. */
    static boolean isFilter(BlockNode node) {
        return node.children().stream()
                .anyMatch(edge -> edge.role() == lockstep.block.node.Role.FILTERED);
    }
}
