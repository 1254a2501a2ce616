package lockstep.block.monitor;

import lockstep.api.BlkdebugEvent;
import lockstep.block.BlockBackend;
import lockstep.block.blkdebug.BlkdebugNode;
import lockstep.block.drive.BlockManager;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockNode;
import lockstep.block.node.BlockStatus;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.qmp.TryLater;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.monitor.HmpArguments;

import org.jspecify.annotations.Nullable;

import java.io.PrintStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What the human monitor's {@code qemu-io} does with a disk: requests as the program of that name makes them, and
 * the holding up of a blkdebug node's. As QEMU has it, results go to the process's standard output, and only the
 * refusal of a command goes to the monitor. Main loop, machine lock held.
 *
 * <p>A command that is not {@code aio_*} is over when its request is; its monitor waits meanwhile and nobody else
 * does.
 */
final class DiskCommands {
    private static final List<String> HELP =
            List.of(
                    "aio_flush",
                    "aio_read [-Cqv] [-P pattern] off len [len..]",
                    "aio_write [-Cfquz] [-P pattern] off len [len..]",
                    "alloc off [len]",
                    "break event tag",
                    "discard [-Cq] off len",
                    "flush",
                    "help",
                    "length",
                    "map",
                    "read [-Cqv] [-P pattern [-s off] [-l len]] off len",
                    "readv [-Cqv] [-P pattern] off len [len..]",
                    "remove_break tag",
                    "resume tag",
                    "sleep milliseconds",
                    "truncate len",
                    "wait_break tag",
                    "write [-Cfquz] [-P pattern] off len",
                    "writev [-Cfq] [-P pattern] off len [len..]");

    private final BlockManager manager;
    private final PrintStream out;
    // The requests whose commands wait for them, by when the command began.
    private final Map<Long, DiskRequest> waiting = new HashMap<>();

    /**
     * For the disks of a process.
     *
     * @param out where results go
     */
    DiskCommands(BlockManager manager, PrintStream out) {
        this.manager = manager;
        this.out = out;
    }

    /** The command. */
    void run(HmpArguments arguments, StringBuilder output) throws BlockException {
        String device = arguments.string("device");
        BlockBackend drive =
                arguments.flag("qdev")
                        ? manager.media().backend(null, device)
                        : manager.backends().find(device);
        BlockNode root = drive == null ? manager.graph().names().lookup(device) : drive.root();
        String line = arguments.string("command").strip();
        if (line.isEmpty()) {
            return;
        }
        String[] words = line.split(" +", -1);
        try {
            run(words, drive, root, output);
        } catch (DiskRequest.BadWords e) {
            out.print(e.getMessage() + "\n");
        }
        out.flush();
    }

    private void run(
            String[] words,
            @Nullable BlockBackend drive,
            @Nullable BlockNode root,
            StringBuilder output)
            throws BlockException, DiskRequest.BadWords {
        String name = words[0];
        switch (name) {
            case "read", "readv", "write", "writev", "discard", "flush", "aio_read", "aio_write" ->
                    request(words, drive, root, output);
            case "aio_flush" -> waitForAll(drive);
            case "alloc", "map", "length" -> look(words, drive, root);
            case "truncate" -> {
                DiskRequest.arguments(words, 1, 1);
                manager.nodes().resize(null, present(root).name(), DiskRequest.number(words[1]));
            }
            case "sleep" -> {
                DiskRequest.arguments(words, 1, 1);
                TryLater.within(DiskRequest.number(words[1]) * 1_000_000);
            }
            case "break", "resume", "remove_break", "wait_break" -> holdUp(words, root);
            case "help" -> HELP.forEach(text -> out.print(text + "\n"));
            default -> throw new DiskRequest.BadWords("command \"" + name + "\" not found");
        }
    }

    private static BlockNode present(@Nullable BlockNode root) throws BlockException {
        if (root == null) {
            throw new BlockException(Errno.ENOMEDIUM);
        }
        return root;
    }

    private void request(
            String[] words,
            @Nullable BlockBackend drive,
            @Nullable BlockNode root,
            StringBuilder output)
            throws BlockException, DiskRequest.BadWords {
        if (TryLater.possible()) {
            DiskRequest known = waiting.get(TryLater.FIRST.get());
            if (known != null) {
                await(known);
                return;
            }
        }
        DiskRequest request = DiskRequest.parse(words);
        BlockNode node = present(root);
        BlockBackend backend = drive == null ? manager.backends().add("") : drive;
        try {
            if (drive == null) {
                backend.insert(node);
            }
            if (request.writes()) {
                backend.alsoTake(Permission.WRITE);
            }
        } catch (BlockException e) {
            if (drive == null) {
                backend.close();
            }
            output.append(e.getMessage()).append('\n');
            return;
        }
        request.begin(
                backend,
                () -> {
                    out.print(request.result());
                    out.flush();
                    if (drive == null) {
                        manager.graph().host().post(backend::close);
                    }
                });
        if (!request.inBackground() && TryLater.possible()) {
            waiting.put(TryLater.FIRST.get(), request);
            await(request);
        }
    }

    private void await(DiskRequest request) {
        if (!request.over()) {
            TryLater.within(Long.MAX_VALUE);
        }
        waiting.values().remove(request);
        // Those whose monitors are gone.
        waiting.values().removeIf(DiskRequest::longOver);
    }

    private static void waitForAll(@Nullable BlockBackend drive) {
        if (drive != null && drive.underWay() > 0) {
            TryLater.within(Long.MAX_VALUE);
        }
    }

    private void look(String[] words, @Nullable BlockBackend drive, @Nullable BlockNode root)
            throws BlockException, DiskRequest.BadWords {
        BlockBackend backend = drive;
        if (backend == null) {
            backend = manager.backends().add("");
            backend.insert(present(root));
        }
        try {
            present(backend.root());
            long length = backend.length();
            switch (words[0]) {
                case "length" -> out.print(DiskRequest.size(length) + "\n");
                case "alloc" -> {
                    DiskRequest.arguments(words, 1, 2);
                    long offset = DiskRequest.number(words[1]);
                    long asked = words.length > 2 ? DiskRequest.number(words[2]) : 512;
                    if (offset > length) {
                        throw new DiskRequest.BadWords("alloc failed: Invalid argument");
                    }
                    long end = Math.min(length, offset + asked);
                    long found = 0;
                    for (long at = offset; at < end; ) {
                        BlockStatus status = backend.statusBlocking(at, end - at);
                        found += status.allocated() ? status.length() : 0;
                        at += status.length();
                    }
                    out.print(
                            "%d/%d bytes allocated at offset %s\n"
                                    .formatted(found, asked, DiskRequest.size(offset)));
                }
                default -> map(backend, length);
            }
        } finally {
            if (drive == null) {
                backend.close();
            }
        }
    }

    private void map(BlockBackend backend, long length) throws BlockException {
        long start = 0;
        boolean allocated = false;
        for (long at = 0; at < length; ) {
            BlockStatus status = backend.statusBlocking(at, length - at);
            if (at > start && status.allocated() != allocated) {
                run(start, at, allocated);
                start = at;
            }
            allocated = status.allocated();
            at += status.length();
        }
        if (length > 0) {
            run(start, length, allocated);
        }
    }

    private void run(long start, long end, boolean allocated) {
        out.print(
                "%s (0x%x) bytes %s allocated at offset %s (0x%x)\n"
                        .formatted(
                                DiskRequest.size(end - start),
                                end - start,
                                allocated ? "   " : "not",
                                DiskRequest.size(start),
                                start));
    }

    private void holdUp(String[] words, @Nullable BlockNode root)
            throws BlockException, DiskRequest.BadWords {
        boolean place = words[0].equals("break");
        DiskRequest.arguments(words, place ? 2 : 1, place ? 2 : 1);
        BlkdebugNode node = blkdebug(root);
        String tag = words[words.length - 1];
        switch (words[0]) {
            case "break" -> {
                BlkdebugEvent event = BlkdebugEvent.find(words[1]);
                if (node == null || event == null) {
                    throw failed("Could not set a breakpoint", node);
                }
                node.breakAt(event, tag);
            }
            case "resume" -> {
                if (node == null || !node.resume(tag)) {
                    throw failed("Could not resume request", node);
                }
            }
            case "remove_break" -> {
                if (node == null || !node.removeBreak(tag)) {
                    throw failed("Could not remove breakpoint " + tag, node);
                }
            }
            default -> {
                if (node == null) {
                    throw failed("Could not wait for a breakpoint", node);
                }
                if (!node.heldUp(tag)) {
                    TryLater.within(Long.MAX_VALUE);
                }
            }
        }
    }

    private static BlockException failed(String what, @Nullable BlkdebugNode node) {
        int errno = node == null ? Errno.ENOTSUP : Errno.ENOENT;
        return new BlockException(errno, what + ": " + Errno.text(errno));
    }

    /** The first such node on the way down. */
    private static @Nullable BlkdebugNode blkdebug(@Nullable BlockNode root) {
        BlockNode at = root;
        while (at != null && !(at instanceof BlkdebugNode)) {
            ChildEdge below = at.primaryChild();
            at = below == null ? null : below.node();
        }
        return (BlkdebugNode) at;
    }
}
