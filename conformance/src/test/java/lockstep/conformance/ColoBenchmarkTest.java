package lockstep.conformance;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Lockstep and QEMU 7.2 side by side: firmware boot, the pause of a checkpoint, failover. It prints what
 * it measures and asserts nothing about times. Without KVM it is asked for with {@code -Dlinux=1}.
 */
@Tag("tun")
@Tag("root")
@Tag("qemu")
class ColoBenchmarkTest {
    private static final int ROUNDS = Integer.getInteger("bench.rounds", 5);

    @TempDir Path directory;

    private record Result(String what, double ours, double theirs) {
        void print() {
            System.out.printf(
                    "BENCH %-34s lockstep %9.1f ms   qemu %9.1f ms   ratio %.2f%n",
                    what, ours, theirs, ours / theirs);
        }
    }

    @BeforeEach
    void machine() {
        if (!Host.accelerator().equals("kvm")) {
            LinuxTest.assumeAskedFor();
        }
        ColoPair.assumePossible();
        Host.assumeProgram(Host.qemu());
    }

    @Test
    void firmwareBoot() throws IOException {
        double ours = boot(Host.binary(), "ours");
        double theirs = boot(ColoPair.qemu(directory), "theirs");
        new Result("firmware boot to the boot sector", ours, theirs).print();
    }

    private double boot(Path binary, String name) throws IOException {
        List<Double> times = new ArrayList<>();
        Path disk = directory.resolve(name + ".raw");
        byte[] image = new byte[1 << 20];
        byte[] sector = Guests.counter();
        System.arraycopy(sector, 0, image, 0, sector.length);
        Files.write(disk, image);
        for (int i = 0; i < Math.min(ROUNDS, 3); i++) {
            Path serial = directory.resolve(name + i + ".serial");
            long start = System.nanoTime();
            Process p =
                    new ProcessBuilder(
                                    binary.toString(),
                                    "-accel",
                                    Host.accelerator(),
                                    "-m",
                                    "128",
                                    "-nographic",
                                    "-drive",
                                    "if=ide,format=raw,file=" + disk)
                            .redirectInput(Path.of("/dev/null").toFile())
                            .redirectError(directory.resolve(name + ".err").toFile())
                            .redirectOutput(serial.toFile())
                            .start();
            Host.await(
                    binary + " boots; it printed " + Host.text(serial),
                    Duration.ofSeconds(90),
                    () -> Host.text(serial).contains("Booting from Hard Disk"));
            times.add((System.nanoTime() - start) / 1e6);
            p.destroyForcibly();
        }
        return median(times);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 4, 64, 256})
    void checkpointPause(int mebibytes) throws IOException {
        int pages = mebibytes << 8;
        int memory = mebibytes > 64 ? 512 : 128;
        Measured ours = measure(directory.resolve("ours"), pages, memory, Host.binary());
        String pause = "checkpoint pause, %d MiB dirty".formatted(mebibytes);
        Measured theirs;
        try {
            theirs = measure(directory.resolve("theirs"), pages, memory, ColoPair.qemu(directory));
        } catch (AssertionError e) {
            // A QEMU pair hangs in failover now and then, more so on a busy machine; without KVM
            // its
            // primary does not resume after an early checkpoint.
            System.out.printf(
                    "BENCH %-34s lockstep %9.1f ms   qemu: none, %s%n", pause, ours.pause, e);
            return;
        }
        new Result(pause, ours.pause, theirs.pause).print();
        new Result(pause + ", worst", ours.worst, theirs.worst).print();
        new Result("failover to the primary", ours.failover, theirs.failover).print();
        System.out.printf(
                "BENCH %-34s lockstep %9.1f MiB  qemu %9.1f MiB  ratio %.2f%n",
                "secondary with RAM of %d MiB".formatted(memory),
                ours.memory,
                theirs.memory,
                ours.memory / theirs.memory);
    }

    /** In milliseconds, and in MiB what the secondary takes. */
    private record Measured(double pause, double worst, double failover, double memory) {}

    private static Measured measure(Path place, int pages, int memory, Path binary)
            throws IOException {
        try (ColoPair pair = new ColoPair(place, Guests.dirty(pages), binary, binary)) {
            pair.memory = memory;
            pair.start();
            pair.nc(ColoPair.SECONDARY_QMP, "secondary-cmd", 6);
            pair.nc(ColoPair.PRIMARY_QMP, "primary-cmd", 8);
            List<Double> pauses = new ArrayList<>();
            try (Monitor monitor = primary(pair)) {
                Host.await(
                        "the guest works",
                        ColoPair.PATIENCE,
                        () -> Guests.WORKS.matcher(Host.text(pair.primary.output)).find());
                monitor.execute(
                        "{\"execute\": \"migrate-set-parameters\", \"arguments\":"
                                + " {\"x-checkpoint-delay\": 700}}");
                monitor.event("RESUME");
                for (int i = 0; i < ROUNDS; i++) {
                    long stop = monitor.event("STOP");
                    pauses.add((monitor.event("RESUME") - stop) / 1e3);
                }
            }
            double secondary = Host.resident(pair.secondary.process.pid());
            pair.secondary.kill();
            long start = System.nanoTime();
            pair.ncUntil(ColoPair.PRIMARY_QMP, "primary-failover", "\"RESUME\"");
            double failover = (System.nanoTime() - start) / 1e6;
            return new Measured(median(pauses), Collections.max(pauses), failover, secondary);
        }
    }

    /** What the guest gets done beside the checkpoints, as a share of what it does alone. */
    @ParameterizedTest
    @ValueSource(ints = {4, 64})
    void throughput(int mebibytesPerSecond) throws IOException {
        Share ours = share(directory.resolve("ours"), mebibytesPerSecond, Host.binary());
        String what = "guest's work under COLO, %d MiB/s dirty".formatted(mebibytesPerSecond);
        Share theirs;
        try {
            theirs =
                    share(
                            directory.resolve("theirs"),
                            mebibytesPerSecond,
                            ColoPair.qemu(directory));
        } catch (AssertionError e) {
            System.out.printf("BENCH %-34s lockstep %s   qemu: none, %s%n", what, ours, e);
            return;
        }
        System.out.printf(
                "BENCH %-34s lockstep %s   qemu %s   ratio %.2f%n",
                what, ours, theirs, ours.percent / theirs.percent);
    }

    /** Under COLO, in percent of alone, and how many checkpoints there were in a second. */
    private record Share(double percent, double checkpoints) {
        @Override
        public String toString() {
            return "%.1f %% with %.1f checkpoints/s".formatted(percent, checkpoints);
        }
    }

    private static Share share(Path place, int mebibytesPerSecond, Path binary) throws IOException {
        int pages = mebibytesPerSecond << 8;
        int ticks = (int) (ticksPerSecond() / pages);
        // Round in a quarter of a second: more than a checkpoint's period, and it shows soon that
        // it works.
        try (ColoPair pair = new ColoPair(place, Guests.dirty(pages / 4, ticks), binary, binary)) {
            pair.start();
            pair.nc(ColoPair.SECONDARY_QMP, "secondary-cmd", 6);
            pair.nc(ColoPair.PRIMARY_QMP, "primary-cmd", 8);
            Work under;
            try (Monitor monitor = primary(pair)) {
                monitor.execute(
                        "{\"execute\": \"migrate-set-parameters\", \"arguments\":"
                                + " {\"x-checkpoint-delay\": 200}}");
                Host.await(
                        "the guest works",
                        ColoPair.PATIENCE,
                        () -> Guests.WORKS.matcher(Host.text(pair.primary.output)).find());
                monitor.event("RESUME");
                under = work(monitor);
            }
            pair.secondary.kill();
            pair.ncUntil(ColoPair.PRIMARY_QMP, "primary-failover", "\"RESUME\"");
            try (Monitor monitor = primary(pair)) {
                Work alone = work(monitor);
                return new Share(100 * under.counted / alone.counted, under.checkpoints);
            }
        }
    }

    private static Monitor primary(ColoPair pair) {
        String port = Integer.toString(ColoPair.PRIMARY_QMP);
        return new Monitor(pair.inNamespace("nc", "localhost", port));
    }

    /** How far the guest counts in a second, and how often it stands. */
    private record Work(double counted, double checkpoints) {}

    private static Work work(Monitor monitor) {
        long start = System.nanoTime();
        long before = counter(monitor);
        int stops = monitor.count("STOP", Duration.ofSeconds(4));
        long counted = counter(monitor) - before;
        double seconds = (System.nanoTime() - start) / 1e9;
        return new Work(counted / seconds, stops / seconds);
    }

    /** About how many ticks of the time stamp counter a second has. */
    private static double ticksPerSecond() throws IOException {
        String processors = Files.readString(Path.of("/proc/cpuinfo"));
        Matcher megahertz = Pattern.compile("cpu MHz\\s*: ([0-9.]+)").matcher(processors);
        return megahertz.find() ? Double.parseDouble(megahertz.group(1)) * 1e6 : 2e9;
    }

    private static long counter(Monitor monitor) {
        String shown =
                monitor.execute(
                        "{\"execute\": \"human-monitor-command\", \"arguments\":"
                                + " {\"command-line\": \"xp /1gx 0x6000\"}}");
        return Long.decode(shown.replaceAll("(?s).*: (0x[0-9a-f]+).*", "$1"));
    }

    private static double median(List<Double> values) {
        List<Double> sorted = new ArrayList<>(values);
        Collections.sort(sorted);
        return sorted.get(sorted.size() / 2);
    }
}
