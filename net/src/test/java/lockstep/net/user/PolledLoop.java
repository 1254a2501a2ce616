package lockstep.net.user;

import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.testmachine.SteppedLoop;

import java.util.ArrayList;
import java.util.List;

/** A loop whose time a test moves, and whose descriptors are all looked at, ready or not, when a test says so. */
final class PolledLoop implements EventLoop {
    private final SteppedLoop time = new SteppedLoop("test");
    private final List<Watched> watched = new ArrayList<>();

    private final class Watched implements Watch {
        private final Ready handler;
        private int interest;

        Watched(int interest, Ready handler) {
            this.interest = interest;
            this.handler = handler;
        }

        @Override
        public void interest(int events) {
            interest = events;
        }

        @Override
        public void close() {
            watched.remove(this);
        }
    }

    /** Looks at every descriptor once, then lets time pass. */
    void turn(long nanos) {
        for (Watched w : List.copyOf(watched)) {
            if (watched.contains(w) && w.interest != 0) {
                w.handler.ready(w.interest);
            }
        }
        time.advance(nanos);
    }

    /** How many descriptors are watched. */
    int watches() {
        return watched.size();
    }

    @Override
    public String name() {
        return "test";
    }

    @Override
    public boolean inLoop() {
        return true;
    }

    @Override
    public void execute(Runnable task) {
        time.execute(task);
    }

    @Override
    public Watch watch(int fd, int interest, Ready handler) {
        Watched w = new Watched(interest, handler);
        watched.add(w);
        return w;
    }

    @Override
    public Timer timer(ClockType clock, Runnable callback) {
        return time.timer(clock, callback);
    }

    @Override
    public Clocks clocks() {
        return time.clocks();
    }
}
