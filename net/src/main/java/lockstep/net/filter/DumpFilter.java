package lockstep.net.filter;

import lockstep.net.NetException;
import lockstep.net.wire.Direction;
import lockstep.net.wire.Endpoint;
import lockstep.net.wire.NetFilter;
import lockstep.net.wire.Network;
import lockstep.qmp.QmpException;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * filter-dump: writes packets to a file in the format of libpcap (version 2.4, host byte order,
 * link type Ethernet) and lets them pass. Times are guest time from the wall-clock second of
 * creation.
 */
public final class DumpFilter extends NetFilter {
    /** What is written of each packet when {@code maxlen=} is not given. */
    public static final long DEFAULT_LENGTH = 65536;

    private static final String NO_LENGTH = "Property 'filter-dump.maxlen' doesn't take value '0'";

    private static final int MAGIC = 0xa1b2c3d4;
    private static final int ETHERNET = 1;

    /** QEMU: type "filter-dump". It goes on writing its file; another name is only remembered. */
    public static final QomType<DumpFilter> TYPE =
            QomType.<DumpFilter>of("filter-dump", NetFilter.TYPE)
                    .with("file", QomKind.STRING, null, f -> f.file, (f, v) -> f.file = v)
                    .with(
                            "maxlen",
                            QomKind.UINT32,
                            null,
                            f -> f.maxLength,
                            DumpFilter::setMaxLength);

    private String file;
    private long maxLength;
    private final Clocks clocks;
    private final long startSeconds;
    private @Nullable FileChannel out;

    /**
     * Creates the file, or empties it.
     *
     * @param maxLength the most bytes that are written of each packet, 1 to 2^32-1
     */
    public DumpFilter(
            Network network, Placement placement, Clocks clocks, String file, long maxLength)
            throws NetException {
        super(network, "filter-dump", placement);
        network.position(placement);
        if (maxLength == 0) {
            throw new NetException(NO_LENGTH);
        }
        this.file = file;
        this.maxLength = maxLength;
        this.clocks = clocks;
        this.startSeconds = clocks.now(ClockType.HOST) / 1_000_000_000;
        try {
            out =
                    FileChannel.open(
                            Path.of(file),
                            StandardOpenOption.CREATE,
                            StandardOpenOption.TRUNCATE_EXISTING,
                            StandardOpenOption.WRITE);
            ByteBuffer header = ByteBuffer.allocate(24).order(ByteOrder.nativeOrder());
            header.putInt(MAGIC).putShort((short) 2).putShort((short) 4).putInt(0).putInt(0);
            header.putInt((int) maxLength).putInt(ETHERNET).flip();
            write(header);
        } catch (IOException | InvalidPathException e) {
            throw new NetException("net dump: can't open " + file + ": " + reason(e), e);
        }
    }

    private static String reason(Exception e) {
        return switch (e) {
            case NoSuchFileException x -> "No such file or directory";
            case AccessDeniedException x -> "Permission denied";
            case FileSystemException x when x.getReason() != null -> x.getReason();
            default -> String.valueOf(e.getMessage());
        };
    }

    private void setMaxLength(long value) throws QmpException {
        if (value == 0) {
            throw new QmpException(NO_LENGTH);
        }
        maxLength = value;
    }

    private void write(ByteBuffer data) throws IOException {
        FileChannel channel = out;
        while (channel != null && data.hasRemaining()) {
            channel.write(data);
        }
    }

    @Override
    protected int process(
            Direction direction,
            Endpoint sender,
            byte[] frame,
            int offset,
            int length,
            @Nullable Runnable sent) {
        int header = Math.min(netdev().vnetHeaderLength(), length);
        int size = length - header;
        if (out == null || size == 0) {
            return 0;
        }
        int kept = (int) Math.min(size, maxLength);
        long micros = clocks.virtual() / 1000;
        ByteBuffer b = ByteBuffer.allocate(16 + kept).order(ByteOrder.nativeOrder());
        b.putInt((int) (startSeconds + micros / 1_000_000)).putInt((int) (micros % 1_000_000));
        b.putInt(kept).putInt(size).put(frame, offset + header, kept).flip();
        try {
            write(b);
        } catch (IOException e) {
            netdev().network().warn("network dump write error - stopping dump");
            closeFile();
        }
        return 0;
    }

    private void closeFile() {
        FileChannel channel = out;
        out = null;
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                netdev().network().warn("network dump write error - stopping dump");
            }
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    protected void cleanup() {
        closeFile();
    }
}
