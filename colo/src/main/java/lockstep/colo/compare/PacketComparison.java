package lockstep.colo.compare;

import lockstep.api.ColoCompareStats;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * All colo-compare objects of the process, as the checkpoint driver of the primary sees them;
 * published as a service of the Vmm.
 */
public interface PacketComparison {
    /**
     * Says who wants to know that the guests differ; null when COLO ends with the primary alone: from then on
     * its packets leave uncompared, up to the next session. The listener is called on the threads of the
     * comparisons, often, and must neither block nor take the machine lock.
     */
    void onCheckpointRequest(@Nullable Runnable listener);

    /**
     * Whether every comparison has all that the primary's guest sent before it stood for the next checkpoint, which its
     * filters have marked, and keeps what comes behind apart from it. Waits for that a little. Any thread but that of an
     * I/O thread; the machine lock may be held.
     */
    boolean apart();

    /**
     * Both guests are equal: every comparison releases what the primary has sent and forgets what
     * the secondary has. Returns when all have done so. Any thread but that of an I/O thread; the
     * machine lock may be held.
     *
     * @return how many packets of the primary waited
     */
    long checkpoint();

    /**
     * Says whether packets may leave; where they may not, they are kept. Asked on the threads of the comparisons for
     * each packet; any thread may set it.
     */
    void gate(BooleanSupplier open);

    /** The gate's answer is another now. Any thread. */
    void gateMoved();

    /** What each comparison has done. Any thread but that of an I/O thread. */
    List<ColoCompareStats> statistics();
}
