package lockstep.block.job;

import lockstep.block.node.BlockException;

/** What else is done when a copy takes its disk's place, while nobody uses either. Main loop, machine lock held. */
public interface MirrorEnding {
    /** Nothing. */
    MirrorEnding PLAIN =
            new MirrorEnding() {
                @Override
                public void before() {}

                @Override
                public void after() {}
            };

    /** All is copied; the disk's users are still at the disk. An error ends the job and leaves them there. */
    void before() throws BlockException;

    /** They are at the copy. An error takes them back. */
    void after() throws BlockException;
}
