package lockstep.colo.checkpoint;

import lockstep.api.ColoCompareStats;
import lockstep.block.ReplicationControl;
import lockstep.block.node.BlockException;
import lockstep.colo.compare.PacketComparison;
import lockstep.net.NetFilters;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/** The neighbours that the process's context knows; one that is not there has nothing to do. */
final class VmmNeighbours implements Neighbours {
    private final Vmm vmm;

    VmmNeighbours(Vmm vmm) {
        this.vmm = vmm;
    }

    private interface Act {
        void on(ReplicationControl control) throws BlockException;
    }

    private void replication(Act act) throws IOException {
        ReplicationControl control = vmm.find(ReplicationControl.class).orElse(null);
        if (control == null) {
            return;
        }
        try {
            act.on(control);
        } catch (BlockException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    @Override
    public void startReplication(boolean primary) throws IOException {
        ReplicationControl.Mode mode =
                primary ? ReplicationControl.Mode.PRIMARY : ReplicationControl.Mode.SECONDARY;
        replication(c -> c.startAll(mode));
    }

    @Override
    public void checkpointReplication() throws IOException {
        replication(ReplicationControl::checkpointAll);
    }

    @Override
    public void confirmReplication() {
        vmm.find(ReplicationControl.class).ifPresent(ReplicationControl::confirmAll);
    }

    @Override
    public void checkReplication() throws IOException {
        replication(ReplicationControl::getErrorAll);
    }

    @Override
    public void stopReplication(boolean failover) throws IOException {
        replication(c -> c.stopAll(failover));
    }

    @Override
    public void superviseReplication(ReplicationControl.@Nullable Supervisor supervisor) {
        vmm.find(ReplicationControl.class).ifPresent(c -> c.supervise(supervisor));
    }

    @Override
    public void holdWrites() {
        vmm.find(ReplicationControl.class).ifPresent(ReplicationControl::holdAll);
    }

    @Override
    public void releaseWrites() {
        vmm.find(ReplicationControl.class).ifPresent(ReplicationControl::releaseAll);
    }

    @Override
    public void cutReplication() {
        vmm.find(ReplicationControl.class).ifPresent(ReplicationControl::cutAll);
    }

    @Override
    public void awaitSilence() {
        vmm.find(Silence.class).ifPresent(Silence::awaitSilence);
    }

    @Override
    public void filtersLead() {
        vmm.find(NetFilters.class).ifPresent(f -> f.colo(NetFilters.Event.LEAD));
    }

    @Override
    public void filtersStand() {
        vmm.find(NetFilters.class).ifPresent(f -> f.colo(NetFilters.Event.STAND));
    }

    @Override
    public void filtersStart() {
        vmm.find(NetFilters.class).ifPresent(f -> f.colo(NetFilters.Event.START));
    }

    @Override
    public void filtersCheckpoint() {
        vmm.find(NetFilters.class).ifPresent(f -> f.colo(NetFilters.Event.CHECKPOINT));
    }

    @Override
    public void filtersFailover() {
        vmm.find(NetFilters.class).ifPresent(f -> f.colo(NetFilters.Event.FAILOVER));
    }

    @Override
    public void onMismatch(@Nullable Runnable listener) {
        vmm.find(PacketComparison.class).ifPresent(c -> c.onCheckpointRequest(listener));
    }

    @Override
    public List<ColoCompareStats> comparisons() {
        return vmm.find(PacketComparison.class).map(PacketComparison::statistics).orElse(List.of());
    }

    @Override
    public boolean packetsApart() {
        return vmm.find(PacketComparison.class).map(PacketComparison::apart).orElse(true);
    }

    @Override
    public long releasePackets() {
        return vmm.find(PacketComparison.class).map(PacketComparison::checkpoint).orElse(0L);
    }
}
