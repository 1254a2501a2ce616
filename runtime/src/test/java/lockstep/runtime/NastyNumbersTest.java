package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.runtime.accelerator.AcceleratedMachine;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.Vcpu;
import lockstep.runtime.cpu.VcpuState;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.monitor.HmpCommand;
import lockstep.runtime.qtest.QtestType;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/**
 * The monitors' commands with counts, addresses and sizes that no one should give. What QEMU 7.2 prints
 * for the same guest stands beside them.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class NastyNumbersTest {
    static final List<String> NUMBERS =
            List.of(
                    "0",
                    "1",
                    "-1",
                    "1.5",
                    "0.5K",
                    ".5M",
                    "5.",
                    "1kk",
                    "1 M",
                    "+1",
                    "--1",
                    "0x10",
                    "0x10M",
                    "0x",
                    "08",
                    "1e3",
                    "1E",
                    "64T",
                    "16E",
                    "8E",
                    "9223372036854775807",
                    "9223372036854775808",
                    "18446744073709551615",
                    "18446744073709551616",
                    "99999999999999999999",
                    "-9223372036854775808",
                    "-9223372036854775809",
                    "nan",
                    "inf",
                    "",
                    "abc",
                    "M",
                    "4294967295",
                    "4294967296",
                    "2147483648",
                    "65536",
                    "256",
                    "1/0",
                    "(1",
                    "$eax",
                    "$",
                    "-9223372036854775808/-1");

    /** They end the process, or change what is traced in all of this JVM. */
    private static final List<String> EXCEPT = List.of("quit", "log", "logfile", "trace-event");

    /** What stands at the end of it: a jump and a date. */
    private static final byte[] FIRMWARE =
            HexFormat.of().parseHex("ea5be000f030362f32332f393900fc00");

    @TempDir Path directory;
    private TestVmm vmm;
    private @Nullable Vcpu vcpu;
    private AcceleratedMachine machine;

    @BeforeEach
    void start() throws Exception {
        vmm = TestVmm.start();
        machine =
                new AcceleratedMachine(
                        vmm.vmm(), accelerator(), "test", 16 << 20, null, 1, "qemu64");
        machine.memory().mapRam("pc.ram", 0, 16 << 20, machine.ram(), 0, 0);
        RamBlock rom = machine.newBlock("pc.bios", 0x1000, 0x1000);
        MemorySegment.copy(
                MemorySegment.ofArray(FIRMWARE), 0, rom.memory(), 0xff0, FIRMWARE.length);
        machine.memory().mapRam("pc.bios", 0xfffff000L, 0x1000, rom, 0, 0).readOnly(true);
        vmm.vmm().lock().run(() -> vmm.vmm().machine(machine));
    }

    /** The one of qtest, of which this test keeps the vCPU. */
    private Accelerator accelerator() {
        Accelerator qtest = new QtestType().open(Map.of(), vmm.vmm().mainLoop());
        InvocationHandler keeping =
                (self, method, arguments) -> {
                    Object made = method.invoke(qtest, arguments);
                    vcpu = made instanceof Vcpu v ? v : vcpu;
                    return made;
                };
        return (Accelerator)
                Proxy.newProxyInstance(
                        Accelerator.class.getClassLoader(),
                        new Class<?>[] {Accelerator.class},
                        keeping);
    }

    @AfterEach
    void stop() {
        vmm.close();
    }

    private String hmp(String line) {
        StringBuilder out = new StringBuilder();
        vmm.vmm().lock().run(() -> out.append(vmm.vmm().monitors().interpreter().run(line)));
        return out.toString().replace("\nTry \"help ", "\n?\"");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "xp /4x 0|0000000000000000: 0x00000000 0x00000000 0x00000000 0x00000000",
                "xp /999999999999x 0xfffffffffffffff0|fffffffffffffff0: Cannot access memory",
                "xp /2147483647x 0x100000000000|``",
                "xp /0x 0|``",
                "xp /4gx 0x100000000|0000000100000000: Cannot access memory",
                "xp /1gx 0xfffffff0|00000000fffffff0: 0x2f3630f000e05bea",
                "xp /2go 0xfffffff0|00000000fffffff0: 0274661417000070055752  "
                        + " 03740003447113631462",
                "xp /5bo 0xfffffff0|00000000fffffff0: 0352 0133 0340   0 0360",
                "xp /5bd 0xfffffff0|00000000fffffff0: 234  91 224   0 240",
                "xp /5hd 0xfffffff0|00000000fffffff0: 23530   224 12528 12086 13106",
                "xp /1gd 0xfffffff0|00000000fffffff0:  3401960375889976298",
                "xp /5hc 0xfffffff0|00000000fffffff0: '\\xea' '[' '\\xe0' '\\x00' '\\xf0' '0' '6'"
                        + " '/' '2' '3'",
                "xp /x -16|fffffffffffffff0: Cannot access memory",
                "xp /4294967297bx 0xfffffff0|00000000fffffff0: 0xea",
                "xp /1073741824wx 0xfffffff0|``",
                "x /4x 0x100000000|0000000100000000: Cannot access memory",
                "xp /4x $pc|00000000fffffff0: 0x00e05bea 0x2f3630f0 0x392f3332 0x00fc0039",
                "print $cs.limit|0xffff",
                "print $eflags|0x2",
                "print /d -1|-1",
                "print /u -1|18446744073709551615",
                "print /o -1|01777777777777777777777",
                "print /c 0x141|'\\x141'",
                "print 9223372036854775808|0x8000000000000000",
                "print 4294967296*4294967296|0",
                "print /d -9223372036854775808/-1|-9223372036854775808",
                "print 1 -1|0",
                "sum 0 16|00000",
                "sum 0xfffffff0 16|00000",
                "gva2gpa 0xfffffff0|gpa: 0xfffffff0",
                "gva2gpa -1|gpa: 0xfffffffffffff",
                "gpa2hva 0x100000000|No memory is mapped at address 0x100000000",
                "gpa2hva -1|No memory is mapped at address 0xffffffffffffffff",
                "cpu 1|invalid CPU index",
                "info registers 5|CPU#5 not available",
                "i /b 0x123456|portb[0x3456] = 0xff",
                "i /g 0x80|portb[0x0080] = 0x00000000000000ff"
            })
    void answersAsQemu(String command, String answer) {
        assertEquals(answer.isEmpty() ? "" : answer + "\n", hmp(command));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "xp /-1x 0|invalid char in format: '-'",
                "xp /x4 0|invalid char in format: '4'",
                "xp /4s 0|invalid char in format: 's'",
                "xp|unexpected end of expression",
                "xp /4x foo|invalid char 'f' in expression",
                "xp /4x $nosuch|unknown register",
                "print 1/0|division by zero",
                "print (1+2|')' expected",
                "print 0x1ffffffffffffffff|number too large",
                "print 18446744073709551616|number too large",
                "print 1K|print|p: extraneous characters at the end of line",
                "sum 0 -1|'sum' has failed: integer is for 32-bit values",
                "cpu -1|'cpu' has failed: integer is for 32-bit values",
                "balloon -1|enter a positive value",
                "memsave 0 16 /tmp/x|invalid char 't' in expression",
                "memsave 0 4294967296 \"x\"|'memsave' has failed: integer is for 32-bit values"
            })
    void refusesAsQemu(String line) {
        int bar = line.indexOf('|');
        assertTrue(hmp(line.substring(0, bar)).startsWith(line.substring(bar + 1) + "\n?"), line);
    }

    /** A dump of everything ends soon, and says so. */
    @Test
    void aDumpIsBounded() {
        String all = hmp("xp /999999999999x 0");
        assertEquals((1 << 20) / 16 + 1, all.lines().count());
        assertTrue(all.endsWith("are shown at once\n"));
        assertEquals(
                "00000000fffffff8: 0x32 0x33 0x2f 0x39 0x39 0x00 0xfc 0x00\n"
                        + "0000000100000000: Cannot access memory\n",
                hmp("xp /2147483647bx 0xfffffff8"));
    }

    /** The letter and the size of a format stay for the next one. */
    @Test
    void aFormatIsKept() {
        hmp("xp /8bx 0");
        assertEquals("00000000fffffff0: 0xea 0x5b\n", hmp("xp /2 0xfffffff0"));
        assertEquals("00000000fffffff0: 0xea\n", hmp("xp 0xfffffff0"));
    }

    @Test
    void memoryGoesToFiles() throws Exception {
        machine.dma().writeLong(0x3000, 0x1122334455667788L);
        Path file = directory.resolve("m");
        assertEquals("", hmp("pmemsave 0xffffffc 8 \"" + file + "\""));
        assertEquals(0, Files.readAllBytes(file)[7]);
        assertEquals("", hmp("memsave 0x3000 8 \"" + file + "\""));
        assertEquals(8, Files.size(file));
        assertEquals((byte) 0x88, Files.readAllBytes(file)[0]);
        assertEquals(
                "Error: Invalid addr 0x00000000fffffff0/size 32 specified\n",
                hmp("memsave 0xfffffff0 32 \"" + file + "\""));
        assertEquals(
                "Error: Could not open '/nonexistent/x': No such file or directory\n",
                hmp("memsave 0 16 \"/nonexistent/x\""));
        assertTrue(
                qmp("pmemsave", "{'val':0,'size':4611686018427387904,'filename':'" + file + "'}")
                        .contains("Invalid addr 0x0000000000000000/size 4611686018427387904"));
        assertTrue(
                qmp("memsave", "{'val':0,'size':-1,'filename':'" + file + "'}")
                        .contains("Invalid addr"));
        assertTrue(
                qmp("memsave", "{'val':0,'size':1,'filename':'x','cpu-index':4294967296}")
                        .contains("Parameter 'cpu-index' expects a CPU number"));
    }

    /** Virtual addresses go through the guest's tables. */
    @Test
    void virtualMemory() {
        machine.dma().writeLong(0x1000, 0x2003); // level 4
        machine.dma().writeLong(0x2000, 0x3003); // level 3
        machine.dma().writeLong(0x3000, 0x20_0083); // level 2: 2 MiB at 2 MiB
        machine.dma().writeLong(0x20_0123, 0xabcdef);
        paging(0x1000, 0x20, 0x500);
        assertEquals("gpa: 0x200123\n", hmp("gva2gpa 0x123"));
        assertEquals("0000000000000123: 0x00abcdef\n", hmp("x /1wx 0x123"));
        assertEquals("Unmapped\n", hmp("gva2gpa 0x200000"));
        assertEquals("Unmapped\n", hmp("gva2gpa 0x800000000000"));
        assertEquals("0000000000200000: Cannot access memory\n", hmp("x /4 0x200000"));
    }

    private void paging(long cr3, long cr4, long efer) {
        VcpuState s = Objects.requireNonNull(vcpu).state;
        s.cr0 = 0x80000011L;
        s.cr3 = cr3;
        s.cr4 = cr4;
        s.efer = efer;
    }

    /** The same tables in a guest of QEMU 7.2 give the same lines. */
    @Test
    void pagesAreListed() {
        assertEquals("PG disabled\n", hmp("info tlb"));
        assertEquals("PG disabled\n", hmp("info mem"));
        machine.dma().writeLong(0x1000, 0x2007); // level 4, first and last
        machine.dma().writeLong(0x1ff8, 0x2003);
        machine.dma().writeLong(0x2000, 0x3027);
        machine.dma().writeLong(0x2008, 0x4000_00e7L); // 1 GiB
        machine.dma().writeLong(0x3000, 0x4007);
        machine.dma().writeLong(0x3008, 0x20_01e3L); // 2 MiB
        machine.dma().writeLong(0x4000, 0x8000_0000_0000_5087L);
        machine.dma().writeLong(0x4008, 0x601d);
        paging(0x1000, 0x20, 0x500);
        assertEquals(
                """
                0000000000000000: 0000000000005000 X------UW
                0000000000001000: 0000000000006000 -----CTU-
                0000000000200000: 0000000000200000 -GPDA---W
                0000000040000000: 0000000040000000 --PDA--UW
                ffffff8000000000: 0000000000005000 X------UW
                ffffff8000001000: 0000000000006000 -----CTU-
                ffffff8000200000: 0000000000200000 -GPDA---W
                ffffff8040000000: 0000000040000000 --PDA--UW
                """,
                hmp("info tlb"));
        assertEquals(
                """
                0000000000000000-0000000000001000 0000000000001000 urw
                0000000000001000-0000000000002000 0000000000001000 ur-
                0000000000200000-0000000000400000 0000000000200000 -rw
                0000000040000000-0000000080000000 0000000040000000 urw
                ffffff8000000000-ffffff8000001000 0000000000001000 -rw
                ffffff8000001000-ffffff8000002000 0000000000001000 -r-
                ffffff8000200000-ffffff8000400000 0000000000200000 -rw
                ffffff8040000000-ffffff8080000000 0000000040000000 -rw
                """,
                hmp("info mem"));
    }

    @Test
    void pagesOfOldProcessorsAreListed() {
        machine.dma().writeInt(0x1000, 0x2007);
        machine.dma().writeInt(0x1004, 0x0040_00e3); // 4 MiB
        machine.dma().writeInt(0x2004, 0x5067);
        paging(0x1000, 0x10, 0);
        assertEquals(
                "0000000000001000: 0000000000005000 ---DA--UW\n"
                        + "0000000000400000: 0000000000400000 --PDA---W\n",
                hmp("info tlb"));
        machine.dma().writeLong(0x7020, 0x3001); // PAE
        machine.dma().writeLong(0x3000, 0x20_00e7);
        paging(0x7020, 0x20, 0);
        assertEquals("0000000000000000: 0000000000200000 --PDA--UW\n", hmp("info tlb"));
        assertEquals("0000000000000000-0000000000200000 0000000000200000 urw\n", hmp("info mem"));
    }

    /** Tables that lead to one another have no end. */
    @Test
    void listsOfPagesAreBounded() {
        for (int i = 0; i < 512; i++) {
            machine.dma().writeLong(0x1000 + i * 8L, 0x1003);
        }
        paging(0x1000, 0x20, 0x500);
        assertTrue(hmp("info tlb").endsWith("no more than that is shown at once\n"));
        assertTrue(hmp("info mem").endsWith("no more than that is shown at once\n"));
    }

    private String qmp(String command, String arguments) throws Exception {
        JsonObject request =
                new JsonObject()
                        .put("execute", command)
                        .put("arguments", lockstep.qmp.JsonStreamParser.parse(arguments));
        StringBuilder reply = new StringBuilder();
        vmm.vmm()
                .lock()
                .run(
                        () -> {
                            JsonObject answer = vmm.vmm().commands().dispatch(request, false);
                            reply.append(answer == null ? "" : JsonPrinter.compact(answer));
                        });
        return reply.toString();
    }

    /** Every command of the human monitor, each argument in turn a nasty one: an answer, never a bug's. */
    @Test
    void everyHumanCommand() {
        String output = "/nonexistent/file"; // A file of the sizes below would fill the disk.
        for (HmpCommand c : vmm.vmm().hmp().all()) {
            String name = c.names().getFirst();
            if (EXCEPT.contains(name)) {
                continue;
            }
            String[] parameters =
                    c.pattern().isEmpty() ? new String[] {""} : c.pattern().split(",");
            for (String number : NUMBERS) {
                for (int at = 0; at < parameters.length; at++) {
                    List<String> words = new ArrayList<>();
                    for (int i = 0; i < parameters.length; i++) {
                        boolean file = parameters[i].startsWith("filename");
                        words.add(file ? "\"" + output + "\"" : i == at ? number : "1");
                    }
                    sane(name + " " + String.join(" ", words));
                }
                sane(name + " /" + number + "x 0");
            }
        }
        for (HmpCommand c : vmm.vmm().hmp().allInfo()) {
            NUMBERS.forEach(n -> sane("info " + c.names().getFirst() + " " + n));
        }
    }

    private void sane(String line) {
        String answer = hmp(line);
        assertFalse(answer.contains("nternal error"), line + ": " + answer);
        assertFalse(answer.contains("Exception"), line + ": " + answer);
        assertTrue(answer.length() < 16 << 20, line);
    }
}
