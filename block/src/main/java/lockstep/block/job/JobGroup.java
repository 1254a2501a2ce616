package lockstep.block.job;

import java.util.ArrayList;
import java.util.List;

/**
 * Jobs that end well together or not at all. Most are alone in theirs. Main loop, machine lock held.
 */
public final class JobGroup {
    private final List<Job> members = new ArrayList<>();

    void add(Job job) {
        members.add(job);
    }

    /** Those that have not ended, the newest first, as QEMU has them. */
    List<Job> members() {
        return List.copyOf(members.reversed());
    }

    void remove(Job job) {
        members.remove(job);
    }
}
