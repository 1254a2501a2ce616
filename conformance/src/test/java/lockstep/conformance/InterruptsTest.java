package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * The firmware {@code interrupts.S} takes interrupts on two processors, on every way there is. It does so wherever the
 * interrupt controllers are, and goes on when it is moved from one place to another.
 */
@Timeout(1200)
class InterruptsTest {
    private static final String STAGES =
            """
            The timer through the PIC
            The clock through the second PIC
            The timer through the IOAPIC
            The clock, level-triggered
            The local APIC's timer
            The task priority
            The disk
            The other processor
            Messages between them
            A non-maskable interrupt
            The other processor again
            """;

    private static final Duration LONG = Duration.ofMinutes(3);

    /** What runs the guest, and is moved to. */
    private enum Place {
        QEMU(Host.qemu(), "tcg"),
        JVM(Host.binary().toString(), "jvm"),
        ON(Host.binary().toString(), "kvm,kernel-irqchip=on"),
        OFF(Host.binary().toString(), "kvm,kernel-irqchip=off"),
        SPLIT(Host.binary().toString(), "kvm,kernel-irqchip=split");

        final String program;
        final String accelerator;

        Place(String program, String accelerator) {
            this.program = program;
            this.accelerator = accelerator;
        }
    }

    @TempDir Path directory;

    private final List<Monitor> machines = new ArrayList<>();

    @AfterEach
    void end() {
        machines.forEach(Monitor::close);
    }

    @Test
    void onTheSoftwareProcessor() throws IOException {
        travel(Place.JVM);
    }

    @ParameterizedTest
    @ValueSource(strings = {"ON", "OFF", "SPLIT"})
    @Tag("kvm")
    void onKvm(Place place) throws IOException {
        Host.assumeKvm();
        travel(place);
    }

    @Test
    @Tag("qemu")
    void fromQemuAndBack() throws IOException {
        Host.assumeProgram(Host.qemu());
        travel(Place.QEMU, Place.JVM, Place.QEMU);
    }

    /** From each to each. */
    @Test
    @Tag("kvm")
    void fromAnyPlaceToAnyOther() throws IOException {
        Host.assumeKvm();
        travel(
                Place.ON,
                Place.OFF,
                Place.ON,
                Place.SPLIT,
                Place.ON,
                Place.JVM,
                Place.OFF,
                Place.SPLIT,
                Place.OFF,
                Place.JVM,
                Place.SPLIT,
                Place.JVM,
                Place.ON);
    }

    @Test
    @Tag("kvm")
    @Tag("qemu")
    void fromQemuToAnyPlace() throws IOException {
        Host.assumeKvm();
        Host.assumeProgram(Host.qemu());
        travel(Place.QEMU, Place.OFF, Place.QEMU, Place.SPLIT, Place.QEMU, Place.ON, Place.QEMU);
    }

    /** A guest that is moved on after some rounds; nothing of what it tells gets lost or comes twice. */
    private void travel(Place... places) throws IOException {
        Files.write(directory.resolve("interrupts.bin"), Guests.load("interrupts"));
        Files.write(directory.resolve("disk"), new byte[1 << 20]);
        Monitor here = machine(places[0], 0);
        awaitRounds(0, 14);
        for (int i = 1; i < places.length; i++) {
            Path door = directory.resolve("door" + i);
            Monitor there = machine(places[i], i, "-incoming", "unix:" + door);
            Host.await("the door " + door + " is open", LONG, () -> Host.listens(door));
            here.execute(
                    "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"unix:" + door + "\"}}");
            awaitRounds(i, 4);
            here.close();
            here = there;
        }
        here.execute("{\"execute\": \"stop\"}");
        StringBuilder told = new StringBuilder();
        for (int i = 0; i < places.length; i++) {
            told.append(Host.text(told(i)));
        }
        assertTrue(told.toString().startsWith(STAGES), told.toString());
        String[] rounds = told.substring(STAGES.length()).split("\n", -1);
        for (int i = 0; i < rounds.length - 1; i++) {
            assertEquals("%04x".formatted(i + 1), rounds[i]);
        }
    }

    private Path told(int number) {
        return directory.resolve("told" + number);
    }

    private Monitor machine(Place place, int number, String... more) {
        List<String> words =
                new ArrayList<>(List.of(place.program, "-accel", place.accelerator, "-smp", "2"));
        words.addAll(List.of("-M", "pc-i440fx-7.2", "-cpu", "qemu64,kvmclock=off", "-m", "16"));
        words.addAll(List.of("-nodefaults", "-display", "none", "-no-reboot", "-qmp", "stdio"));
        words.addAll(List.of("-bios", directory.resolve("interrupts.bin").toString()));
        words.addAll(List.of("-debugcon", "file:" + told(number), "-drive"));
        words.add(
                "if=ide,format=raw,file.driver=file,file.locking=off,file.filename="
                        + directory.resolve("disk"));
        words.addAll(List.of(more));
        Monitor machine = new Monitor(words);
        machines.add(machine);
        return machine;
    }

    private void awaitRounds(int number, int lines) {
        Host.await(
                "machine " + number + " tells " + lines + " lines",
                LONG,
                () -> Host.text(told(number)).lines().count() > lines);
    }
}
