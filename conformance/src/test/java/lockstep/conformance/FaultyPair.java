package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.opentest4j.TestAbortedException;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** A pair of the given scripts whose sides have nothing but a {@link Cable} between them; a guest that keeps what it is told. */
final class FaultyPair implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(1);
    private static final String ADDRESS = "10.77.0.70";
    private static final byte[] ADDRESS_BYTES = {10, 77, 0, 70};

    /** What anybody waits for the other side, in milliseconds. */
    private static final int TIMEOUT = 3000;

    private static final int CHECKPOINT_DELAY = 300;

    final ColoPair pair;
    final Cable cable = new Cable();
    private final Path place;
    private final Path small;
    private Monitor primary;
    private Monitor secondary;

    FaultyPair(Path directory) throws IOException {
        place = directory.resolve("f");
        pair = new ColoPair(place, Guests.keeping(ADDRESS_BYTES));
        pair.memory = 32;
        small = Files.createDirectory(place.resolve("small"));
        pair.primary.own =
                List.of("-qmp", "unix:" + place.resolve("p.qmp") + ",server=on,wait=off");
        pair.secondary.own =
                List.of("-qmp", "unix:" + place.resolve("s.qmp") + ",server=on,wait=off");
        // Without its boot ROM, which waits for a key.
        String nic = "-device e1000,id=e0,netdev=hn0";
        pair.primary.rewired =
                script ->
                        script.replaceAll(
                                        "id=(mirror0|compare1),host=\\S+?,port=\\d+",
                                        "id=$1,path=" + place + "/$1")
                                .replace(nic, nic + ",romfile=");
        pair.secondary.rewired =
                script ->
                        script.replaceAll(
                                        "id=red0,host=\\S+?,port=\\d+",
                                        "id=red0,path=" + place + "/to-mirror0")
                                .replaceAll(
                                        "id=red1,host=\\S+?,port=\\d+",
                                        "id=red1,path=" + place + "/to-compare1")
                                .replace("tcp:0.0.0.0:9998", "unix:" + place.resolve("mig"))
                                .replace(
                                        place + "/images/secondary/secondary-",
                                        small + "/secondary-")
                                .replace(nic, nic + ",romfile=");
    }

    /**
     * Starts both, and tells them all but to migrate.
     *
     * @param fault what they are to meet
     */
    void start(Fault fault) throws IOException {
        if (fault == Fault.SECONDARY_DISK) {
            mountFreezing(small);
        } else {
            mount(small, "-t", "tmpfs", "-o", "size=3M", "faults");
        }
        if (fault == Fault.PRIMARY_DISK) {
            Path own = Files.createDirectory(place.resolve("own"));
            mountFreezing(own);
            Path image = place.resolve("images/primary/primary.qcow2");
            Files.move(image, own.resolve("primary.qcow2"));
            Files.createSymbolicLink(image, own.resolve("primary.qcow2"));
        }
        for (String disk : List.of("secondary-active.qcow2", "secondary-hidden.qcow2")) {
            Files.move(place.resolve("images/secondary/" + disk), small.resolve(disk));
        }
        Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
        cable.other(place.resolve("to-mirror0"), place.resolve("mirror0"));
        cable.other(place.resolve("to-compare1"), place.resolve("compare1"));
        cable.migration(place.resolve("to-mig"), place.resolve("mig"));
        cable.disk(place.resolve("to-nbd"), place.resolve("nbd"));
        pair.start();
        primary = monitor(pair.primary, "p.qmp");
        secondary = monitor(pair.secondary, "s.qmp");
        for (Monitor m : List.of(secondary, primary)) {
            ok(
                    m,
                    "migrate-set-capabilities",
                    "'capabilities':[{'capability':'x-colo','state':true}]");
        }
        ok(secondary, "nbd-server-start", unix("nbd"));
        ok(secondary, "nbd-server-add", "'device':'parent0','writable':true");
        human(
                primary,
                "drive_add -n buddy driver=replication,mode=primary,file.driver=nbd,file.path="
                        + place.resolve("to-nbd")
                        + ",file.export=parent0,node-name=replication0");
        ok(primary, "x-blockdev-change", "'parent':'colo-disk0','node':'replication0'");
    }

    /** A file system that can be told to let nobody write; whoever tries hangs until it is told otherwise. */
    private void mountFreezing(Path at) throws IOException {
        Host.assumeProgram("mkfs.ext4");
        Host.assumeProgram("fsfreeze");
        Path image = place.resolve("freezing");
        try (var file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(24 << 20);
        }
        Host.run("mkfs.ext4", "-q", "-F", image.toString());
        try {
            mount(at, "-o", "loop", image.toString());
        } catch (AssertionError e) {
            throw new TestAbortedException("needs loop devices: " + e.getMessage());
        }
    }

    private void mount(Path at, String... what) {
        List<String> command = new ArrayList<>(List.of("mount"));
        command.addAll(List.of(what));
        command.add(at.toString());
        Host.run(command);
        mounted.add(at);
    }

    /** Freezes the file system mounted last, or lets those who hang go on. */
    private void freeze(boolean on) {
        if (on != frozen) {
            String at = mounted.getLast().toString();
            Host.run("fsfreeze", on ? "--freeze" : "--unfreeze", at);
            frozen = on;
        }
    }

    private Monitor monitor(ColoPair.Side side, String socket) {
        Path path = place.resolve(socket);
        Host.await(
                side.toString(),
                PATIENCE,
                () -> {
                    pair.alive(side);
                    return Files.exists(path);
                });
        return new Monitor(List.of("nc", "-U", path.toString()));
    }

    private String unix(String socket) {
        return "'addr':{'type':'unix','data':{'path':'" + place.resolve(socket) + "'}}";
    }

    private static String ok(Monitor monitor, String name, String arguments) {
        return monitor.execute(
                "{'execute':'%s','arguments':{%s}}".formatted(name, arguments).replace('\'', '"'));
    }

    private static void human(Monitor monitor, String line) {
        ok(monitor, "human-monitor-command", "'command-line':'" + line + "'");
    }

    /** Nobody waits for long from now on; a pair that comes up on a busy machine may take its time. */
    void limit() {
        for (Monitor m : List.of(secondary, primary)) {
            ok(m, "migrate-set-parameters", "'x-colo-timeout':" + TIMEOUT);
        }
    }

    void migrate() {
        ok(primary, "migrate", "'uri':'unix:" + place.resolve("to-mig") + "'");
    }

    /** Waits until both are in COLO and the guest is up. */
    void protectedNow() {
        // The secondary may get a guest that is up by a checkpoint, and say nothing.
        Host.await(
                "the guest is up; " + pair.primary,
                PATIENCE,
                () -> {
                    pair.alive(pair.primary);
                    return Host.text(pair.primary.output).contains("network guest is up");
                });
        ok(primary, "migrate-set-parameters", "'x-checkpoint-delay':" + CHECKPOINT_DELAY);
        moreCheckpoints(2);
    }

    Talk talk() throws IOException {
        return new Talk(pair.inNamespace("nc", ADDRESS, "7"));
    }

    /** Waits for some more checkpoints. */
    void moreCheckpoints(int number) {
        long wanted = checkpoints() + number;
        Host.await("checkpoints; " + pair.primary, PATIENCE, () -> checkpoints() >= wanted);
    }

    private long checkpoints() {
        var m =
                Pattern.compile("\"checkpoints\": (\\d+)")
                        .matcher(ok(primary, "query-colo-stats", ""));
        assertTrue(m.find());
        return Long.parseLong(m.group(1));
    }

    /** Has the fault come in the phase. */
    void arm(FaultMatrixTest.Case c, Random random) throws InterruptedException {
        if (c.phase() == Phase.IDLE) {
            // Just behind a checkpoint.
            cable.at(Phase.VMSTATE_LOADED, 0, () -> {});
            cable.awaitReached();
            Thread.sleep(random.nextInt(CHECKPOINT_DELAY / 3));
            strike(c.fault());
            cable.at(Phase.IDLE, 0, () -> {});
        } else {
            cable.at(c.phase(), random.nextInt(5), () -> strike(c.fault()));
        }
        idle = c.phase() == Phase.IDLE;
    }

    private boolean idle;
    private boolean frozen;
    private final List<Path> mounted = new ArrayList<>();

    void awaitFault() throws InterruptedException {
        if (!idle) {
            cable.awaitReached();
        }
    }

    void strike(Fault fault) {
        switch (fault) {
            case KILL_PRIMARY -> pair.primary.kill();
            case KILL_SECONDARY -> pair.secondary.kill();
            case STOP_PRIMARY -> signal(pair.primary, "STOP");
            case STOP_SECONDARY -> signal(pair.secondary, "STOP");
            case CUT -> cable.cut();
            case HANG -> cable.hang();
            case SLOW -> cable.slow(true);
            case FULL_DISK -> fill();
            case PRIMARY_DISK, SECONDARY_DISK -> freeze(true);
        }
    }

    private static void signal(ColoPair.Side side, String name) {
        Host.run("kill", "-" + name, Long.toString(side.process.pid()));
    }

    /** Ends a side for good; one whose disk hangs ends when that goes on. */
    void kill(ColoPair.Side side) {
        if (frozen) {
            signal(side, "KILL");
            freeze(false);
        }
        side.kill();
    }

    /** What a side has said: a line that matches. */
    String says(ColoPair.Side side, String pattern) {
        String[] found = new String[1];
        Host.await(
                pattern + "; " + side,
                PATIENCE,
                () -> {
                    found[0] =
                            Host.text(side.errors)
                                    .lines()
                                    .filter(l -> l.matches(".*" + pattern))
                                    .findFirst()
                                    .orElse("");
                    return !found[0].isEmpty();
                });
        return found[0];
    }

    /** The disk that hangs goes on. */
    void diskGoesOn() {
        freeze(false);
    }

    private void fill() {
        try (var out = Files.newOutputStream(small.resolve("fill"))) {
            byte[] block = new byte[4096];
            while (true) {
                out.write(block);
            }
        } catch (IOException e) {
            // No space left on device.
        }
    }

    /** Waits for the end of the primary's session; gives what it, or the secondary before it, said, which must match. */
    String primaryGivesUp(String says) {
        String exit = primary.await(l -> l.contains("COLO_EXIT"), PATIENCE);
        assertTrue(exit.contains("\"reason\": \"error\""), exit);
        Pattern pattern = Pattern.compile("^(primary|secondary): .*" + says);
        String printed = Host.text(pair.primary.errors) + Host.text(pair.secondary.errors);
        String said = printed.lines().filter(l -> pattern.matcher(l).find()).findFirst().orElse("");
        assertTrue(!said.isEmpty(), says + " in " + printed);
        return said;
    }

    /** The primary's guest does not stand for the other one. */
    void primaryRuns() {
        assertTrue(ok(primary, "query-status", "").contains("\"running\": true"));
    }

    void secondaryGivesUp() {
        String exit = secondary.await(l -> l.contains("COLO_EXIT"), PATIENCE);
        assertTrue(exit.contains("\"reason\": \"error\""), exit);
        assertTrue(ok(secondary, "query-status", "").contains("\"running\": true"));
    }

    /** What either said of the end of COLO. */
    String exits() {
        return Host.text(pair.primary.errors)
                .lines()
                .filter(l -> l.startsWith("primary: ") && !l.matches("\\S+ (-|warning).*"))
                .findFirst()
                .orElse("");
    }

    /** A secondary that has no whole copy runs nothing: it has ended, or waits for a stream. */
    void endsOrWaits(ColoPair.Side side) throws InterruptedException {
        if (!side.process.waitFor(5, TimeUnit.SECONDS)) {
            String status = ok(secondary, "query-status", "");
            assertTrue(status.contains("\"running\": false"), status);
        }
    }

    /** The guest of a primary that lost its migration runs, or is made to. */
    void runsAlone(ColoPair.Side side) {
        boolean[] left = new boolean[1];
        Host.await(
                "the guest can run; " + side,
                PATIENCE,
                () -> {
                    if (!left[0]
                            && ok(primary, "query-colo-status", "")
                                    .contains("\"mode\": \"primary\"")) {
                        left[0] = true;
                        leavePair();
                    }
                    primary.send("{\"execute\": \"cont\"}");
                    String answer =
                            primary.await(
                                    l -> l.startsWith("{\"return\"") || l.startsWith("{\"error\""));
                    return answer.startsWith("{\"return\"");
                });
        Host.await(
                "the guest runs; " + side,
                PATIENCE,
                () -> Host.text(side.output).contains("network guest is up"));
    }

    private void leavePair() {
        ok(primary, "x-blockdev-change", "'parent':'colo-disk0','child':'children.1'");
        human(primary, "drive_del replication0");
        for (String id : List.of("comp0", "iothread1", "m0", "redire0", "redire1")) {
            ok(primary, "object-del", "'id':'" + id + "'");
        }
        ok(primary, "x-colo-lost-heartbeat", "");
    }

    /** Has a side go on by itself, by the steps of the scripts. */
    Alone takeOver(ColoPair.Side side) {
        Monitor monitor = side == pair.primary ? primary : secondary;
        if (side == pair.primary) {
            leavePair();
        } else {
            ok(monitor, "nbd-server-stop", "");
            ok(monitor, "x-colo-lost-heartbeat", "");
            ok(monitor, "object-del", "'id':'f2'");
            ok(monitor, "object-del", "'id':'f1'");
            ok(monitor, "chardev-remove", "'id':'red1'");
            ok(monitor, "chardev-remove", "'id':'red0'");
        }
        return new Alone(side, monitor);
    }

    /** A side that goes on. */
    final class Alone implements AutoCloseable {
        private final ColoPair.Side side;
        private final Monitor monitor;

        Alone(ColoPair.Side side, Monitor monitor) {
            this.side = side;
            this.monitor = monitor;
        }

        void runs() {
            Host.await(
                    "the guest runs; " + side,
                    PATIENCE,
                    () -> ok(monitor, "query-status", "").contains("\"status\": \"running\""));
        }

        /** The guest's disk has all lines. */
        void holds(List<String> lines) throws IOException {
            ok(monitor, "nbd-server-start", unix("look"));
            ok(monitor, "nbd-server-add", "'device':'colo-disk0'");
            try (NbdClient disk = new NbdClient(place.resolve("look"), "colo-disk0", PATIENCE)) {
                for (int i = 0; i < lines.size(); i++) {
                    byte[] expected = (lines.get(i) + "\n").getBytes(StandardCharsets.US_ASCII);
                    NbdClient.Answer sector =
                            disk.request(
                                    NbdClient.Command.READ,
                                    Guests.FIRST_KEPT + 512L * i,
                                    512,
                                    new byte[0]);
                    assertEquals(0, sector.error());
                    assertArrayEquals(
                            expected, Arrays.copyOf(sector.data(), expected.length), lines.get(i));
                }
            }
            ok(monitor, "nbd-server-stop", "");
        }

        /** Ends it; its disks are in order then. */
        @Override
        public void close() throws IOException {
            monitor.send("{\"execute\": \"quit\"}");
            try {
                assertTrue(side.process.waitFor(30, TimeUnit.SECONDS), side::toString);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new AssertionError(e);
            }
            assertEquals(0, side.process.exitValue(), side::toString);
            Host.run("qemu-img", "check", "-q", place + "/images/" + side.name + "/primary.qcow2");
            if (side == pair.secondary) {
                for (String disk : List.of("active", "hidden")) {
                    Host.run("qemu-img", "check", "-q", small + "/secondary-" + disk + ".qcow2");
                }
            }
        }
    }

    @Override
    public void close() {
        freeze(false);
        try (pair) {
            cable.close();
            for (Monitor m : new Monitor[] {primary, secondary}) {
                if (m != null) {
                    m.close();
                }
            }
        } finally {
            mounted.forEach(at -> Host.run("umount", at.toString()));
        }
    }
}
