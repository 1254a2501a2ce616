package lockstep.tools.img;

import lockstep.block.file.FileNode;
import lockstep.block.node.BlockException;
import lockstep.block.node.BlockGraph;
import lockstep.block.node.ChildEdge;
import lockstep.block.node.Permission;
import lockstep.block.node.Role;
import lockstep.block.qcow2.Qcow2Creator;
import lockstep.block.qcow2.Qcow2Node;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.linux.ImageFile;
import lockstep.tools.shell.Options;
import lockstep.tools.shell.ToolException;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** {@code create}, and the making of other commands' targets. */
final class Create {
    private static final int PIECE = 1 << 20;

    private final Session session;

    Create(Session session) {
        this.session = session;
    }

    int run(List<String> line) throws ToolException, Help.Wanted {
        Options options = session.options(line, "f= b= F= o= q u --object=");
        String format = options.get("f") == null ? "raw" : options.get("f");
        List<String> texts = options.all("o");
        if (asksForHelp(texts)) {
            Formats.checkTarget("", format);
            session.console().print(TargetOptions.help(format));
            return 0;
        }
        if (options.arguments().isEmpty()) {
            throw ToolException.usage("Expecting image file name");
        }
        String filename = options.arguments().getFirst();
        long size = -1;
        if (options.arguments().size() > 1) {
            size = Numbers.size("image size", options.arguments().get(1), 0, Long.MAX_VALUE);
        }
        if (options.arguments().size() > 2) {
            throw ToolException.usage("Unexpected argument: " + options.arguments().get(2));
        }
        String prefix = filename + ": ";
        Formats.checkTarget(prefix, format);
        TargetOptions target = TargetOptions.parse(prefix, format, texts);
        if (target.get("size") != null) {
            if (size >= 0) {
                throw new ToolException(prefix + "The image size must be specified only once");
            }
            size = Long.parseLong(String.valueOf(target.get("size")));
        }
        setBacking(prefix, target, options.get("b"), options.get("F"));
        String backing = target.get("backing_file");
        if (filename.equals(backing)) {
            throw new ToolException(
                    prefix
                            + "Error: Trying to create an image with the same filename as the"
                            + " backing file");
        }
        if (backing != null && !options.has("u")) {
            long below = backingSize(prefix, filename, backing, target.get("backing_fmt"));
            size = size < 0 ? below : size;
        }
        if (size < 0) {
            throw new ToolException(prefix + "Image creation needs a size parameter");
        }
        target.set("size", Long.toString(size));
        session.say(options, target.describe(filename));
        make(prefix, filename, format, target, size);
        return 0;
    }

    static boolean asksForHelp(List<String> texts) {
        for (String text : texts) {
            for (String item : text.split(",")) {
                if (item.equals("help") || item.equals("?")) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Puts what is below into the options. */
    static void setBacking(
            String prefix, TargetOptions target, @Nullable String file, @Nullable String format)
            throws ToolException {
        if (file != null) {
            if (!target.hasBacking()) {
                throw new ToolException(
                        prefix
                                + "Backing file not supported for file format '"
                                + target.format()
                                + "'");
            }
            target.set("backing_file", file);
        }
        if (format != null) {
            if (!target.hasBacking()) {
                throw new ToolException(
                        prefix
                                + "Backing format not supported for file format '"
                                + target.format()
                                + "'");
            }
            target.set("backing_fmt", format);
        }
    }

    private long backingSize(
            String prefix, String filename, String backing, @Nullable String format)
            throws ToolException {
        String path = Names.below(filename, backing);
        // Its length only: a disk in use gets its overlay while its machine runs.
        Images.Way way = Images.Way.reading(format).withoutBacking().sharing();
        try (Image image = session.images().tryOpen(path, way)) {
            if (format == null) {
                throw new ToolException(prefix + "Backing file specified without backing format")
                        .advising("Detected format of " + image.node().driver() + ".");
            }
            return image.length();
        } catch (BlockException e) {
            throw ToolException.of(prefix, e).advising("Could not open backing image.\n");
        }
    }

    /** Makes an image, in place of what is there; never while somebody else uses that. */
    void make(String prefix, String filename, String format, TargetOptions target, long wanted)
            throws ToolException {
        long size = wanted + 511 & -512L;
        if (size < 0) {
            throw new ToolException(prefix + "Image size is too large");
        }
        String mode = target.preallocation(prefix);
        Qcow2Creator.Options qcow2 = format.equals("qcow2") ? target.qcow2(prefix, size) : null;
        SecretObjects secrets = session.images().secrets();
        String encryption = qcow2 == null ? null : target.encryption(prefix);
        MemorySegment volume = null;
        if (format.equals("luks")) {
            volume = target.luks(prefix, secrets).bytes();
        } else if (qcow2 != null && encryption != null) {
            boolean luks = encryption.equals("luks");
            qcow2 =
                    qcow2.encrypted(
                            luks ? 2 : 1, luks ? target.luks(prefix, secrets).bytes() : null);
            secret(prefix, secrets, target.secret(prefix));
        }
        if (qcow2 == null && mode.equals("metadata")) {
            throw new ToolException(prefix + "Unsupported preallocation mode: metadata");
        }
        String path = Names.path(prefix, filename);
        try (Lock _ = new Lock(session.images().graph(), path)) {
            if (volume != null) {
                makeVolume(path, size, volume);
            } else if (qcow2 == null) {
                makeRaw(path, size, mode);
            } else {
                Qcow2Creator.create(path, qcow2);
            }
        } catch (BlockException e) {
            throw ToolException.of(prefix, e);
        }
        if (qcow2 != null && !mode.equals("off")) {
            try (Image image =
                    session.images()
                            .tryOpen(
                                    target.opening(filename),
                                    Images.Way.reading(
                                                    target.opening(filename).equals(filename)
                                                            ? "qcow2"
                                                            : null)
                                            .writing())) {
                preallocate(image, 0, size, mode);
                image.flush();
            } catch (BlockException e) {
                throw ToolException.of(prefix, e);
            }
        }
    }

    private static void secret(String prefix, SecretObjects secrets, String id)
            throws ToolException {
        try {
            secrets.find(id);
        } catch (BlockException e) {
            throw ToolException.of(prefix, e);
        }
    }

    private static void makeVolume(String path, long size, MemorySegment header)
            throws BlockException {
        try (ImageFile file = ImageFile.create(path)) {
            file.truncate(header.byteSize() + size);
            file.write(0, header);
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(), "Could not create '" + path + "': " + Errno.text(e.errno()), e);
        }
    }

    /** Gives a range of a qcow2 image its storage. */
    static void preallocate(Image image, long offset, long length, String mode)
            throws BlockException {
        Qcow2Node node = image.qcow2();
        if (node != null && length > 0) {
            Qcow2Node.Preallocation how =
                    switch (mode) {
                        case "falloc" -> Qcow2Node.Preallocation.FALLOC;
                        case "full" -> Qcow2Node.Preallocation.FULL;
                        default -> Qcow2Node.Preallocation.METADATA;
                    };
            image.with(node, qcow2 -> qcow2.preallocate(offset, length, how));
        }
    }

    /** Holds a file that exists, so that it is not taken away from somebody who uses it. */
    private static final class Lock implements AutoCloseable {
        private final BlockGraph graph;
        private final @Nullable ChildEdge edge;

        Lock(BlockGraph graph, String path) throws BlockException {
            this.graph = graph;
            if (!Files.exists(Path.of(path))) {
                edge = null;
                return;
            }
            FileNode file =
                    graph.add(
                            FileNode.open(
                                    graph,
                                    "file",
                                    graph.autoName(),
                                    FileNode.Options.of(path, false)));
            try {
                edge =
                        graph.attach(
                                () -> "a new image",
                                "root",
                                Role.ROOT,
                                file,
                                Permission.WRITE | Permission.RESIZE,
                                Permission.ALL
                                        & ~(Permission.CONSISTENT_READ
                                                | Permission.WRITE
                                                | Permission.RESIZE));
            } finally {
                graph.release(file);
            }
        }

        @Override
        public void close() {
            if (edge != null) {
                graph.detach(edge);
            }
        }
    }

    private static void makeRaw(String path, long size, String mode) throws BlockException {
        try (ImageFile file = ImageFile.create(path)) {
            file.truncate(size);
            if (size == 0) {
                return;
            }
            switch (mode) {
                case "falloc" -> file.zeroRange(0, size);
                case "off" ->
                        // With a block that is there QEMU finds out what alignment the file needs.
                        file.write(0, MemorySegment.ofArray(new byte[(int) Math.min(4096, size)]));
                case "full" -> {
                    MemorySegment zeroes = MemorySegment.ofArray(new byte[PIECE]);
                    for (long at = 0; at < size; at += PIECE) {
                        file.write(at, zeroes.asSlice(0, Math.min(PIECE, size - at)));
                    }
                    file.sync();
                }
                default -> throw new AssertionError(mode);
            }
        } catch (ImageFile.Failure e) {
            throw new BlockException(
                    e.errno(), "Could not create '" + path + "': " + Errno.text(e.errno()), e);
        }
    }
}
