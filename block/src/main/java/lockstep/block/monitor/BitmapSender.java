package lockstep.block.monitor;

import lockstep.block.node.BlockNode;
import lockstep.block.node.DirtyBitmap;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.vmstate.StateOutput;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** Writes bitmaps to a migration. */
final class BitmapSender implements BitmapHandover.Sending {
    /**
     * A bitmap that moves.
     *
     * @param alias its name in the stream
     * @param bytes of the disk
     * @param flags what its start says of it
     */
    record Moving(
            BlockNode node,
            String nodeAlias,
            DirtyBitmap bitmap,
            String alias,
            long bytes,
            int flags) {}

    private final List<Moving> all;
    private @Nullable BlockNode lastNode;
    private @Nullable DirtyBitmap lastBitmap;
    private int at;
    private long next;

    BitmapSender(List<Moving> all) {
        this.all = all;
        all.forEach(m -> m.bitmap.use(true));
    }

    private void header(StateOutput out, Moving moving, int kind) {
        int flags = kind;
        flags |= moving.node == lastNode ? 0 : BitmapStream.NODE;
        flags |= moving.bitmap == lastBitmap ? 0 : BitmapStream.BITMAP;
        lastNode = moving.node;
        lastBitmap = moving.bitmap;
        out.u8(flags);
        if ((flags & BitmapStream.NODE) != 0) {
            name(out, moving.nodeAlias);
        }
        if ((flags & BitmapStream.BITMAP) != 0) {
            name(out, moving.alias);
        }
    }

    private static void name(StateOutput out, String name) {
        byte[] text = BitmapStream.text(name);
        out.u8(text.length);
        out.bytes(text, 0, text.length);
    }

    @Override
    public void begin(StateOutput out) {
        for (Moving moving : all) {
            header(out, moving, BitmapStream.START);
            out.u32((int) moving.bitmap.granule());
            out.u8(moving.flags);
        }
        out.u8(BitmapStream.END);
    }

    @Override
    public void leave() {
        all.forEach(m -> m.bitmap.setLeaving(true));
    }

    @Override
    public boolean rest(StateOutput out) {
        while (at < all.size() && next >= all.get(at).bytes) {
            at++;
            next = 0;
        }
        if (at < all.size()) {
            chunk(out, all.get(at));
            return true;
        }
        all.forEach(m -> header(out, m, BitmapStream.COMPLETE));
        out.u8(BitmapStream.END);
        return false;
    }

    private void chunk(StateOutput out, Moving moving) {
        long granule = moving.bitmap.granule();
        long length = Math.min(BitmapStream.CHUNK * Byte.SIZE * granule, moving.bytes - next);
        int granules = (int) ((length + granule - 1) / granule);
        int first = (int) (next / granule);
        boolean zeroes = moving.bitmap.count(first, granules) == 0;
        header(out, moving, BitmapStream.BITS | (zeroes ? BitmapStream.ZEROES : 0));
        out.u64(next >>> BitmapStream.SECTOR_BITS);
        out.u32((int) (length + 511 >>> BitmapStream.SECTOR_BITS));
        if (!zeroes) {
            byte[] bits = moving.bitmap.bits(first, granules);
            int size = BitmapStream.padded(BitmapStream.bytes(granules));
            out.u64(size);
            out.bytes(bits, 0, bits.length);
            out.zeros(size - bits.length);
        }
        next += length;
    }

    @Override
    public void end() {
        for (Moving moving : all) {
            moving.bitmap.use(false);
            if (moving.node.active()) {
                moving.bitmap.setLeaving(false);
            }
        }
    }
}
