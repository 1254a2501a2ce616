package lockstep.runtime.migration;

import lockstep.api.MigrationStatus;
import lockstep.runtime.linux.LinuxException;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/** The end of a migration at its source, from which COLO goes on. Used by the migration thread. */
public final class ColoSource implements AutoCloseable {
    /** As much of a checkpoint is kept, so that the guest need not wait until it is sent. */
    private static final long MOST_KEPT = 256L << 20;

    private final Outgoing outgoing;
    private final MigrationHost host;
    private final MigrationSettings settings;
    private final MigrationChannel channel;
    private final StreamOutput out;
    private final StateInput in;
    private final StreamSaver saver;
    private final DeviceChanges.Sender devices = new DeviceChanges.Sender();
    private @Nullable StreamStore store;

    ColoSource(
            Outgoing outgoing,
            MigrationHost host,
            MigrationSettings settings,
            MigrationChannel channel,
            StreamOutput out,
            StateInput in,
            StreamSaver saver) {
        this.outgoing = outgoing;
        this.host = host;
        this.settings = settings;
        this.channel = channel;
        this.out = out;
        this.in = in;
        this.saver = saver;
    }

    /** The machine and the process. */
    public MigrationHost host() {
        return host;
    }

    /** Capabilities and parameters. */
    public MigrationSettings settings() {
        return settings;
    }

    /** What goes to the secondary. */
    public StreamOutput out() {
        return out;
    }

    /** What the secondary sends. */
    public StateInput in() {
        return in;
    }

    /**
     * Saves all device sections. Under the machine lock, the guest stopped. The result is overwritten by the next call.
     *
     * @param changes whether the secondary takes what changed since the last call; if not, it is all sections and their
     *     end mark
     */
    public StateOutput saveDevices(boolean changes) throws StateException {
        DeviceChanges.Sections sections = devices.next();
        saver.devices(sections.bytes, Description.none(), sections::ended);
        if (changes) {
            return devices.changes();
        }
        sections.bytes.u8(StreamFormat.EOF);
        return sections.bytes;
    }

    /** Whether the guest, which stands when COLO begins, ran before the migration stopped it. */
    public boolean guestRan() {
        return outgoing.guestRan();
    }

    /** COLO has ended for this reason, which query-migrate tells. */
    public void failed(String reason) {
        outgoing.coloFailed(reason);
    }

    /** Collects which pages changed. Returns how many the secondary lacks. */
    public long collectPages() {
        return outgoing.syncRam();
    }

    /**
     * Sends the pages that were collected, behind {@code vmstate-send}. The guest may run: which of them
     * it changes meanwhile, the next collection tells.
     */
    public void sendPages() throws IOException {
        saver.ramPart(out);
        out.flush();
    }

    /**
     * Has memory ready for {@link #keepRam}, so that it need not be made while the guest stands.
     *
     * @param pages how many will be kept, as far as one knows
     */
    public void prepareToKeep(long pages) throws IOException {
        StreamStore s = store;
        if (s == null) {
            long ram = host.blocks().stream().mapToLong(RamBlock::usedLength).sum();
            try {
                s = new StreamStore(Math.min(MOST_KEPT, ram + StreamOutput.CAPACITY));
            } catch (LinuxException e) {
                throw new IOException(e.getMessage(), e);
            }
            store = s;
        }
        s.prepare(pages * (RamBlock.PAGE + Long.BYTES));
    }

    /**
     * Writes all pages that changed and were not sent, and the end mark. Only their beginning is sent at once, which tells
     * the secondary that the guest has stopped. The rest, and all that is written behind it, is kept until the next {@link
     * StreamOutput#flush}, as far as there is room. The guest is stopped.
     *
     * @return how many pages
     */
    public long keepRam() throws IOException {
        StreamStore s = store;
        if (s == null) {
            throw new IllegalStateException("not prepared");
        }
        saver.switchoverStart(out);
        saver.beginRamEnd(out);
        out.flush();
        out.keep(s);
        long pages = outgoing.syncRam();
        saver.finishRamEnd(out);
        out.u8(StreamFormat.EOF);
        return pages;
    }

    /** Gives back what it took. */
    @Override
    public void close() {
        StreamStore s = store;
        if (s != null) {
            s.close();
        }
    }

    /** The failover has begun: the migration is complete. Any thread. */
    public void complete() {
        outgoing.status().move(MigrationStatus.COLO, MigrationStatus.COMPLETED);
    }

    /** Whether the status is still {@code colo}. Any thread. */
    public boolean inColo() {
        return outgoing.status().get() == MigrationStatus.COLO;
    }

    /** Ends both directions of the channel; wakes who is blocked on it. Any thread. */
    public void shutdown() {
        channel.shutdown();
    }
}
