package lockstep.colo.heartbeat;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import lockstep.api.COLOMode;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.ClockType;
import lockstep.runtime.loop.EventLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;

import org.jspecify.annotations.Nullable;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The object colo-heartbeat. Made and closed under the machine lock; everything between runs on the loop of an
 * I/O thread without it, so that a main loop that stands does not look like a dead host.
 */
final class Heartbeat implements UserObject {
    private static final long LONGEST_ANSWER_SECONDS = 60;
    private static final long SHORTEST_REST = TimeUnit.SECONDS.toNanos(1);

    static final QomType<Heartbeat> TYPE =
            QomType.<Heartbeat>of("colo-heartbeat")
                    .with("chardev", QomKind.STRING, null, h -> h.setup.chardev, null)
                    .with("iothread", QomKind.STRING, null, h -> h.setup.iothread, null)
                    .with("interval", QomKind.UINT32, null, h -> h.setup.interval, null)
                    .with("lease", QomKind.UINT32, null, h -> h.setup.lease, null)
                    .with("arbiter", QomKind.STRING, null, h -> h.setup.arbiter, null)
                    .with("peer-alive", QomKind.BOOL, null, h -> h.alive, null);

    /**
     * What a heartbeat is made from.
     *
     * @param interval milliseconds between two messages
     * @param lease milliseconds
     * @param arbiter the program to ask; empty for none
     * @param session the process's part in COLO; NONE as soon as a failover is under way
     * @param moved told when the lease comes or goes
     * @param alone has this side go on alone
     * @param messages for the user
     */
    record Setup(
            String id,
            String chardev,
            String iothread,
            long interval,
            long lease,
            String arbiter,
            EventLoop loop,
            Supplier<COLOMode> session,
            Runnable moved,
            Runnable alone,
            Consumer<String> messages,
            Runnable whenClosed) {}

    private final Setup setup;
    private final Lease lease;
    private final Timer timer;
    private final long leaseNanos;
    private volatile boolean lost;
    private volatile boolean alive;
    private volatile boolean asking;

    // Of the loop.
    private Chardev.@Nullable Attachment device;
    private final ByteBuffer received = ByteBuffer.allocate(Beat.SIZE);
    private boolean broken;
    private volatile boolean closed;

    /** That is being asked, or was. */
    private volatile @Nullable Process arbiter;

    private boolean wasOpen = true;
    private COLOMode role = COLOMode.NONE;
    private long roleSince;
    private long nextQuestion;

    /** Counts the roles, so that an answer is known to belong to the present one. */
    private int question;

    /** Whether the user knows that the other side is lost, and that this one may not go on. */
    private boolean told;

    private long heardStamp;
    private long heardAt;

    Heartbeat(Setup setup) {
        this.setup = setup;
        leaseNanos = MILLISECONDS.toNanos(setup.lease);
        lease = new Lease(leaseNanos);
        timer = setup.loop.timer(ClockType.REALTIME, this::tick);
    }

    /** What the character device is attached with. */
    ChardevFrontend frontend() {
        return new ChardevFrontend() {
            @Override
            public int canReceive() {
                return Beat.SIZE;
            }

            @Override
            public void receive(ByteBuffer data) {
                take(data);
            }

            @Override
            public void closed() {
                received.clear();
                broken = false;
                // The next peer's clock is another one.
                heardStamp = 0;
            }
        };
    }

    /** Begins with the device that it was attached to. */
    void start(Chardev.Attachment attached) {
        setup.loop.execute(
                () -> {
                    device = attached;
                    tick();
                });
    }

    /** Whether packets of a primary's guest may leave. Any thread. */
    boolean open() {
        return setup.session.get() != COLOMode.PRIMARY || lease.valid(System.nanoTime());
    }

    /** What it holds and promises. */
    Lease lease() {
        return lease;
    }

    private void tick() {
        if (closed) {
            return;
        }
        long now = System.nanoTime();
        COLOMode present = setup.session.get();
        if (present != role) {
            role = present;
            roleSince = now;
            // An answer to a question of before is no longer waited for.
            question++;
            asking = false;
            nextQuestion = now;
            told = false;
        }
        beat(now);
        lost =
                switch (role) {
                    case PRIMARY -> !lease.valid(now);
                    case SECONDARY -> lease.silence(now) == 0;
                    default -> false;
                };
        alive = !lost && heardStamp != 0 && now - heardAt <= leaseNanos;
        // A session that has just begun is given the time to hear of the other side.
        if (lost
                && !setup.arbiter.isEmpty()
                && !asking
                && now - roleSince > leaseNanos
                && now - nextQuestion >= 0) {
            ask(role);
        }
        if (!lost) {
            told = false;
        }
        gate();
        timer.arm(
                setup.loop.clocks().now(ClockType.REALTIME) + MILLISECONDS.toNanos(setup.interval));
    }

    private void gate() {
        boolean now = open();
        if (now != wasOpen) {
            wasOpen = now;
            setup.moved.run();
        }
    }

    private void beat(long now) {
        Chardev.Attachment d = device;
        if (d == null || d.pending() > 0) {
            return; // What the peer does not take now would tell it of the past.
        }
        boolean granting = role == COLOMode.SECONDARY && !asking && heardStamp != 0;
        if (granting) {
            lease.promise(heardAt);
            // A failover that began meanwhile has not seen this promise.
            granting = setup.session.get() == COLOMode.SECONDARY;
        }
        try {
            d.write(new Beat(granting, (int) setup.lease, now, heardStamp).encode());
        } catch (IOException e) {
            // Nobody is there: that is what the other side finds out in the same way.
            received.clear();
        }
    }

    private void take(ByteBuffer data) {
        while (data.hasRemaining()) {
            received.put(data.get());
            if (received.hasRemaining()) {
                continue;
            }
            received.flip();
            Beat beat = Beat.decode(received);
            received.clear();
            if (beat == null) {
                if (!broken) {
                    setup.messages.accept("colo-heartbeat '" + setup.id + "': no heartbeat comes");
                }
                broken = true;
            } else if (!broken && !closed) {
                heard(beat);
            }
        }
    }

    private void heard(Beat beat) {
        heardStamp = beat.sent();
        heardAt = System.nanoTime();
        boolean own = beat.echo() != 0 && beat.echo() - heardAt <= 0;
        if (beat.granting() && own && role == COLOMode.PRIMARY) {
            lease.granted(beat.echo(), MILLISECONDS.toNanos(Integer.toUnsignedLong(beat.lease())));
            gate();
        }
    }

    /** Has the arbiter decide, on a thread of its own. No lease is granted meanwhile. */
    private void ask(COLOMode as) {
        asking = true;
        int number = question;
        if (!told) {
            setup.messages.accept(
                    "colo-heartbeat '%s': the %s is lost, asking %s"
                            .formatted(
                                    setup.id,
                                    as == COLOMode.PRIMARY ? "secondary" : "primary",
                                    setup.arbiter));
        }
        Thread.ofPlatform()
                .daemon()
                .name("arbiter " + setup.id)
                .start(
                        () -> {
                            String refusal = answer(as.wireName());
                            setup.loop.execute(() -> answered(number, as, refusal));
                        });
    }

    /** Runs the arbiter. Returns why it does not grant; empty if it does. */
    private String answer(String as) {
        try {
            Process process =
                    new ProcessBuilder(setup.arbiter, as, setup.id)
                            .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")))
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .redirectError(ProcessBuilder.Redirect.INHERIT)
                            .start();
            arbiter = process;
            if (closed) {
                process.destroyForcibly();
            }
            if (!process.waitFor(LONGEST_ANSWER_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return "no answer within " + LONGEST_ANSWER_SECONDS + " s";
            }
            return process.exitValue() == 0 ? "" : "exit status " + process.exitValue();
        } catch (IOException e) {
            return String.valueOf(e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "interrupted";
        }
    }

    /** Not in COLO, where the other side would take its end for this side's. */
    @Override
    public boolean removable() {
        return setup.session.get() == COLOMode.NONE;
    }

    private void answered(int number, COLOMode as, String refusal) {
        if (number != question) {
            return;
        }
        if (refusal.isEmpty() && setup.session.get() == as) {
            // No lease is granted any more: this side is about to be heard.
            setup.messages.accept("colo-heartbeat '" + setup.id + "': going on alone");
            setup.alone.run();
            return;
        }
        asking = false;
        nextQuestion = System.nanoTime() + Math.max(SHORTEST_REST, leaseNanos);
        if (!refusal.isEmpty() && !told) {
            told = true;
            setup.messages.accept("colo-heartbeat '" + setup.id + "': not granted: " + refusal);
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {
        CountDownLatch done = new CountDownLatch(1);
        setup.loop.execute(
                () -> {
                    closed = true;
                    timer.cancel();
                    Process asked = arbiter;
                    if (asked != null) {
                        asked.destroyForcibly();
                    }
                    Chardev.Attachment d = device;
                    if (d != null) {
                        d.close();
                    }
                    done.countDown();
                });
        boolean interrupted = false;
        while (done.getCount() > 0) {
            try {
                done.await();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        setup.whenClosed.run();
    }
}
