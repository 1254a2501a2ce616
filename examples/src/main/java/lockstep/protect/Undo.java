package lockstep.protect;

import lockstep.qmp.QmpException;
import lockstep.qmp.QmpTimeoutException;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/** For each thing that was made what takes it back. */
final class Undo {
    /** What is to be done. */
    interface Step {
        /** Does it. */
        void run() throws QmpException, IOException;
    }

    private final Deque<Step> steps = new ArrayDeque<>();
    private final Consumer<String> progress;

    Undo(Consumer<String> progress) {
        this.progress = progress;
    }

    void push(Step step) {
        steps.push(step);
    }

    /** Takes everything back, the last first; what cannot be is told. A machine that does not answer is not asked again. */
    void run() {
        while (!steps.isEmpty()) {
            try {
                steps.pop().run();
            } catch (QmpTimeoutException e) {
                // The secondary's steps are the last ones.
                progress.accept("the rest could not be taken back: " + e.getMessage());
                steps.clear();
            } catch (QmpException | IOException e) {
                progress.accept("could not be taken back: " + e.getMessage());
            }
        }
    }
}
