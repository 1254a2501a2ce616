package lockstep.runtime.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import lockstep.api.OnOffSplit;
import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.testmachine.CoreProcess;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The core's sections out of a stream that QEMU 7.2 wrote (pc-i440fx-7.2, KVM, SeaBIOS in its boot menu):
 * what goes through the kernel comes back byte for byte. The resource holds for each section its name, with
 * a length byte, instance, version and length (four bytes each), and the content.
 */
@Tag("kvm")
@Timeout(60)
class QemuStateTest {
    private record Section(String name, int instance, int version, byte[] content) {}

    // The time-stamp counter runs on between setting and reading it.
    private static final int TSC = 1157;
    private static final int PLAIN_FIELDS = 1817;

    @ParameterizedTest
    @EnumSource(names = {"ON", "OFF", "SPLIT"})
    void stateOfQemuGoesThroughTheKernelUnchanged(OnOffSplit kernel) throws Exception {
        Assumptions.assumeTrue(
                Files.isWritable(Path.of("/dev/kvm")), "no access to /dev/kvm on this host");
        try (CoreProcess process = new CoreProcess()) {
            AcceleratedMachine machine =
                    new AcceleratedMachine(
                            process.vmm,
                            new KvmAccelerator(new KvmType(), kernel, process.loop),
                            "pc-i440fx-7.2",
                            1 << 20,
                            null,
                            1,
                            "qemu64,kvmclock=on");
            process.lock.acquire();
            try {
                machine.interruptSections().forEach(machine.state()::register);
                machine.state().register(machine.intervalTimer());
                Map<StateSection, byte[]> loaded = new LinkedHashMap<>();
                try (DataInputStream in = new DataInputStream(resource())) {
                    List<Section> sections = new ArrayList<>();
                    while (in.available() > 0) {
                        sections.add(next(in));
                    }
                    // Guest time goes first, as in a stream.
                    sections.sort(Comparator.comparing(s -> !s.name.equals("timer")));
                    for (Section s : sections) {
                        StateSection target = process.state.find(s.name, s.instance);
                        assertNotNull(target, s.name);
                        new LoadingCodec(new StateInput(new ByteArrayInputStream(s.content)))
                                .content(target, s.version);
                        loaded.put(target, s.content);
                    }
                }
                loaded.forEach(QemuStateTest::same);
                machine.close();
            } finally {
                process.lock.release();
            }
        }
    }

    private static InputStream resource() {
        InputStream in = QemuStateTest.class.getResourceAsStream("qemu-7.2-core.bin");
        assertNotNull(in);
        return in;
    }

    private static Section next(DataInputStream in) throws Exception {
        byte[] name = in.readNBytes(in.readUnsignedByte());
        int instance = in.readInt();
        int version = in.readInt();
        byte[] content = in.readNBytes(in.readInt());
        return new Section(new String(name, StandardCharsets.US_ASCII), instance, version, content);
    }

    private static void same(StateSection section, byte[] expected) {
        StateOutput out = new StateOutput(4096);
        try {
            section.beforeSave();
            new SavingCodec(out, Description.none()).inPlace(section);
        } catch (Exception e) {
            throw new AssertionError(section.name(), e);
        }
        byte[] actual = out.toByteArray();
        if (section.name().equals("timer")) {
            // QEMU's own counter; here it is the time-stamp counter again.
            Arrays.fill(actual, 0, 8, (byte) 0);
            Arrays.fill(expected, 0, 8, (byte) 0);
        }
        if (section.name().equals("cpu")) {
            Arrays.fill(actual, TSC, TSC + 8, (byte) 0);
            Arrays.fill(expected, TSC, TSC + 8, (byte) 0);
            // Subsections tell of the host: the counter's frequency, what it says of itself.
            actual = Arrays.copyOf(actual, PLAIN_FIELDS);
            expected = Arrays.copyOf(expected, PLAIN_FIELDS);
        }
        assertArrayEquals(expected, actual, section.name());
    }
}
