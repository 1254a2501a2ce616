package lockstep.block.monitor;

import lockstep.api.BitmapMigrationBitmapAlias;
import lockstep.api.BitmapMigrationNodeAlias;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.BlockNode;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.DirtyBitmap;
import lockstep.runtime.spi.BitmapHandover;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Makes bitmaps of what a migration brings. A node or a name that is not known here is told to the user, and no bitmap is
 * taken from then on, as with QEMU: the guest is worth more. A bitmap records nothing, and nobody can use it, until it is
 * complete.
 */
final class BitmapReceiver implements BitmapHandover.Receiving {
    private final BlockGraph graph;
    private final @Nullable List<BitmapMigrationNodeAlias> names;
    private final Consumer<String> report;

    /** Whether each bitmap that is not complete records changes when it is. */
    private final Map<DirtyBitmap, Boolean> coming = new IdentityHashMap<>();

    private @Nullable BitmapMigrationNodeAlias nodeNames;
    private @Nullable BitmapMigrationBitmapAlias bitmapNames;
    private @Nullable BlockNode node;
    private @Nullable DirtyBitmap bitmap;
    private String bitmapName = "";
    private boolean refused;

    BitmapReceiver(
            BlockGraph graph,
            @Nullable List<BitmapMigrationNodeAlias> names,
            Consumer<String> report) {
        this.graph = graph;
        this.names = names;
        this.report = report;
    }

    @Override
    public void load(StateInput in) throws IOException {
        while (true) {
            int flags = flags(in);
            boolean nothing = (flags & ~BitmapStream.END) == 0;
            if ((flags & BitmapStream.NODE) != 0) {
                findNode(text(in));
            } else if (node == null && !nothing && !refused) {
                throw new StateException("Error: block device name is not set");
            }
            if ((flags & BitmapStream.BITMAP) != 0) {
                findBitmap(text(in), (flags & BitmapStream.START) != 0);
            } else if (bitmap == null && !nothing && !refused) {
                throw new StateException("Error: block device name is not set");
            }
            if ((flags & BitmapStream.START) != 0) {
                start(in);
            } else if ((flags & BitmapStream.COMPLETE) != 0) {
                complete();
            } else if ((flags & BitmapStream.BITS) != 0) {
                bits(in, (flags & BitmapStream.ZEROES) != 0);
            }
            if ((flags & BitmapStream.END) != 0) {
                return;
            }
        }
    }

    private static int flags(StateInput in) throws IOException {
        int flags = in.u8();
        if ((flags & BitmapStream.MORE) != 0) {
            flags = flags << 8 | in.u8();
            if ((flags & BitmapStream.MORE) != 0) {
                flags = flags << 16 | in.u16();
            }
        }
        return flags;
    }

    private static String text(StateInput in) throws IOException {
        byte[] text = new byte[in.u8()];
        in.bytes(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    private void refuse(String why) {
        report.accept(why);
        refused = true;
        node = null;
        bitmap = null;
        coming.forEach((b, enabled) -> forget(b));
        coming.clear();
    }

    private void forget(DirtyBitmap unfinished) {
        for (BlockNode any : graph.names().nodes()) {
            any.forget(unfinished);
        }
    }

    private void findNode(String alias) {
        if (refused) {
            return;
        }
        String name = alias;
        nodeNames = null;
        if (names != null) {
            for (BitmapMigrationNodeAlias known : names) {
                if (known.alias().equals(alias)) {
                    nodeNames = known;
                    name = known.nodeName();
                }
            }
            if (nodeNames == null) {
                refuse("Error: Unknown node alias '" + alias + "'");
                return;
            }
        }
        try {
            node = graph.names().lookup(name);
        } catch (BlockException e) {
            refuse(String.valueOf(e.getMessage()));
        }
    }

    private void findBitmap(String alias, boolean start) throws StateException {
        BlockNode on = node;
        if (refused || on == null) {
            return;
        }
        bitmapName = alias;
        bitmapNames = null;
        BitmapMigrationNodeAlias known = nodeNames;
        if (known != null) {
            for (BitmapMigrationBitmapAlias one : known.bitmaps()) {
                if (one.alias().equals(alias)) {
                    bitmapNames = one;
                    bitmapName = one.name();
                }
            }
            if (bitmapNames == null) {
                refuse(
                        "Error: Unknown bitmap alias '%s' on node '%s' (alias '%s')"
                                .formatted(alias, known.nodeName(), known.alias()));
                return;
            }
        }
        bitmap = on.bitmap(bitmapName);
        if (bitmap == null && !start) {
            throw new StateException(
                    "Error: unknown dirty bitmap '%s' for block device '%s'"
                            .formatted(bitmapName, on.name()));
        }
    }

    private void start(StateInput in) throws IOException {
        long granule = Integer.toUnsignedLong(in.u32());
        int flags = in.u8();
        BlockNode on = node;
        if (refused || on == null) {
            return;
        }
        if (bitmap != null) {
            throw new StateException(
                    "Bitmap with the same name ('%s') already exists on destination"
                            .formatted(bitmapName));
        }
        int known = BitmapStream.ENABLED | BitmapStream.PERSISTENT | BitmapStream.AUTOLOAD;
        if ((flags & ~known) != 0) {
            throw new StateException(
                    "Unknown flags in migrated dirty bitmap header: " + Integer.toHexString(flags));
        }
        if (granule < 512 || Long.bitCount(granule) != 1) {
            throw new StateException("A migrated dirty bitmap has a granularity of " + granule);
        }
        DirtyBitmap made;
        try {
            long length = ChildEdge.look(on).length();
            DirtyBitmap.checkHolds(length, granule);
            made = new DirtyBitmap(bitmapName, granule, length);
        } catch (BlockException e) {
            throw new StateException(String.valueOf(e.getMessage()), e);
        }
        made.persist(persistent(flags));
        made.record(false);
        made.use(true);
        on.follow(made);
        coming.put(made, (flags & BitmapStream.ENABLED) != 0);
        bitmap = made;
    }

    private boolean persistent(int flags) {
        BitmapMigrationBitmapAlias known = bitmapNames;
        Boolean wanted =
                known == null || known.transform() == null ? null : known.transform().persistent();
        return wanted == null ? (flags & BitmapStream.PERSISTENT) != 0 : wanted;
    }

    /** The bitmap that a part is about, which this stream has started. */
    private DirtyBitmap current() throws StateException {
        DirtyBitmap current = bitmap;
        if (current == null || !coming.containsKey(current)) {
            throw new StateException(
                    "The stream has not started the dirty bitmap '" + bitmapName + "'");
        }
        return current;
    }

    private void complete() throws StateException {
        if (refused) {
            return;
        }
        DirtyBitmap done = current();
        done.record(Boolean.TRUE.equals(coming.remove(done)));
        done.use(false);
    }

    private void bits(StateInput in, boolean zeroes) throws IOException {
        long offset = in.u64() << BitmapStream.SECTOR_BITS;
        long length = Integer.toUnsignedLong(in.u32()) << BitmapStream.SECTOR_BITS;
        if (refused) {
            in.skip(zeroes ? 0 : Math.max(0, in.u64()));
            return;
        }
        DirtyBitmap to = current();
        long size = zeroes ? 0 : in.u64();
        long granule = to.granule();
        long first = offset / granule;
        long granules = (length + granule - 1) / granule;
        if (offset < 0 || offset >= to.size() || offset % granule != 0 || length == 0) {
            throw new StateException(
                    "Bits of the dirty bitmap '" + bitmapName + "' are not within its disk");
        }
        if (zeroes) {
            return;
        }
        int needed = BitmapStream.bytes(granules);
        if (granules > BitmapStream.CHUNK * (long) Byte.SIZE
                || size < needed
                || size > BitmapStream.padded(needed)) {
            throw new StateException(
                    "Migrated bitmap granularity doesn't match the destination bitmap '%s'"
                                    .formatted(bitmapName)
                            + " granularity");
        }
        byte[] bits = new byte[(int) size];
        in.bytes(bits);
        to.addBits((int) first, bits);
    }
}
