package lockstep.runtime.migration;

import lockstep.api.MigrationStatus;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.function.Consumer;

/** The end of a migration at its destination, from which COLO goes on. Used by the loading thread. */
public final class ColoTarget {
    /** The most device state of a checkpoint that is taken, in bytes; real machines have some 100 KiB. */
    public static final int MOST_DEVICE_STATE = 256 << 20;

    /**
     * The device sections of a checkpoint, and an end mark behind each.
     *
     * @param all all of them
     * @param changed those that are not what was taken at the last checkpoint
     */
    record Devices(byte[] all, byte[] changed) {}

    private Devices devices = new Devices(new byte[0], new byte[0]);
    private final MigrationHost host;
    private final MigrationSettings settings;
    private final StatusCell status;
    private final MigrationChannel channel;
    private final StreamOutput out;
    private final StateInput in;
    private final StreamLoader loader;
    private final RamLoader ram;
    private final Consumer<String> error;
    private final StateOutput kept = new StateOutput(1 << 16);
    private final DeviceChanges.Receiver changes = new DeviceChanges.Receiver(MOST_DEVICE_STATE);

    ColoTarget(
            MigrationHost host,
            MigrationSettings settings,
            StatusCell status,
            MigrationChannel channel,
            StreamOutput out,
            StateInput in,
            StreamLoader loader,
            RamLoader ram,
            Consumer<String> error) {
        this.host = host;
        this.settings = settings;
        this.status = status;
        this.channel = channel;
        this.out = out;
        this.in = in;
        this.loader = loader;
        this.ram = ram;
        this.error = error;
    }

    /** The machine and the process. */
    public MigrationHost host() {
        return host;
    }

    /** Capabilities and parameters. */
    public MigrationSettings settings() {
        return settings;
    }

    /** COLO has ended for this reason, which query-migrate tells. */
    public void failed(String reason) {
        error.accept(reason);
    }

    /** What goes to the primary. */
    public StreamOutput out() {
        return out;
    }

    /** What the primary sends. */
    public StateInput in() {
        return in;
    }

    /** Sends received pages elsewhere from now on. */
    public void redirectPages(RamSink sink) throws StateException {
        ram.replaceSink(sink);
    }

    /** What happens between two parts of a checkpoint. */
    public interface Step {
        /** Does it. */
        void run() throws IOException;
    }

    /**
     * Reads the live part of a checkpoint up to its end mark.
     *
     * @param stopped is called when the primary's guest has stopped and the last pages come
     */
    public void loadRam(Step stopped) throws IOException {
        loader.pages(in, stopped::run);
    }

    /** Keeps what the devices are, for {@link #restoreDevices}. Under the machine lock, the guest stopped. */
    public void keepDevices() throws StateException {
        kept.clear();
        SavingCodec codec = new SavingCodec(kept, Description.none());
        int id = 0;
        for (StateSection section : host.state().sections()) {
            codec.section(id++, section);
        }
        kept.u8(StreamFormat.EOF);
    }

    /** Whether the primary can send the device state as what changed since the last checkpoint. */
    public boolean changesOffered() {
        return loader.sendsChanges();
    }

    /**
     * Takes the device state of a checkpoint as it came.
     *
     * @throws IOException when it is no state; that of the last checkpoint is still known then
     */
    public void devices(byte[] received) throws IOException {
        devices = changesOffered() ? changes.take(received) : new Devices(received, received);
    }

    /**
     * Finds out whether the {@link #devices device state} will be taken, by loading what changed: what did not was taken
     * before. If it is not, {@link #restoreDevices} is to follow. Under the machine lock, the guest stopped.
     */
    public void tryDevices() throws IOException {
        load(devices.changed(), true);
    }

    /** Makes the devices what was kept. Under the machine lock, the guest stopped. */
    public void restoreDevices() throws IOException {
        load(kept.toByteArray(), false);
    }

    /** Loads the device state, which was {@link #tryDevices tried}. Under the machine lock, the guest stopped. */
    public void loadDevices() throws IOException {
        load(devices.all(), false);
    }

    private void load(byte[] sections, boolean trial) throws IOException {
        StateInput devices = new StateInput(new ByteArrayInputStream(sections));
        loader.devices(devices, trial);
        if (devices.position() != sections.length) {
            throw new IOException(
                    "The device state ends %d bytes early"
                            .formatted(sections.length - devices.position()));
        }
    }

    /** COLO begins: the status changes from {@code active} to {@code colo}. */
    public void enter() {
        status.move(MigrationStatus.ACTIVE, MigrationStatus.COLO);
    }

    /** The failover has begun: the migration is complete. Any thread. */
    public void complete() {
        status.move(MigrationStatus.COLO, MigrationStatus.COMPLETED);
    }

    /** Whether the status is still {@code colo}. Any thread. */
    public boolean inColo() {
        return status.get() == MigrationStatus.COLO;
    }

    /** Ends both directions of the channel; wakes who is blocked on it. Any thread. */
    public void shutdown() {
        channel.shutdown();
    }
}
