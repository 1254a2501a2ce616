package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.commandline.RuntimeOptions;
import lockstep.runtime.option.OptionTable;
import lockstep.runtime.process.PidFile;
import lockstep.runtime.process.VmmProcess;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What wrong command lines answer; recorded with QEMU, for {@code -machine none}. */
final class CommandLineTest {
    @TempDir Path directory;

    private static String failure(List<String> options) throws Exception {
        List<String> all = new ArrayList<>(List.of("-machine", "none", "-nodefaults"));
        all.addAll(options);
        RuntimeOptions own = new RuntimeOptions();
        VmmProcess vmm = new VmmProcess("prog", own.settings());
        try {
            return String.valueOf(
                    assertThrows(
                                    OptionTable.Failure.class,
                                    () -> Main.start(vmm, own, all, new PidFile()))
                            .getMessage());
        } finally {
            vmm.shutDown();
            vmm.loop().close();
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "-nosuch | -nosuch: invalid option",
                "-m | -m: requires an argument",
                "-machine none,foo=1 | Property 'none-machine.foo' not found",
                "-chardev foo,id=a | -chardev foo,id=a: 'foo' is not a valid char driver name",
                "-chardev null | -chardev null: chardev: no id specified",
                "-chardev null,id=a -chardev null,id=a | -chardev null,id=a: Duplicate ID 'a' for"
                        + " chardev",
                "-chardev null,id=a,bogus=1 | -chardev null,id=a,bogus=1: Invalid parameter"
                        + " 'bogus'",
                "-chardev socket,id=a,host=H | -chardev socket,id=a,host=H: chardev: socket: no"
                        + " port given",
                "-chardev socket,id=a,path=p,host=h,port=1 | -chardev"
                        + " socket,id=a,path=p,host=h,port=1: None or one of 'path', 'fd' or 'host'"
                        + " option required.",
                "-chardev socket,id=a,host=127.0.0.1,port=1 | -chardev"
                        + " socket,id=a,host=127.0.0.1,port=1: Failed to connect to '127.0.0.1:1':"
                        + " Connection refused",
                "-chardev socket,id=a,path=p,server=maybe | -chardev"
                    + " socket,id=a,path=p,server=maybe: Parameter 'server' expects 'on' or 'off'",
                "-chardev socket,id=a,host=127.0.0.1,port=1,wait=off |"
                        + " -chardev socket,id=a,host=127.0.0.1,port=1,wait=off: 'wait' option is"
                        + " incompatible with socket in client connect mode",
                "-chardev socket,id=a,path=/nonexistent/a.sock,server=on,wait=off | -chardev"
                        + " socket,id=a,path=/nonexistent/a.sock,server=on,wait=off: Failed to bind"
                        + " socket to /nonexistent/a.sock: No such file or directory",
                "-chardev file,id=a | -chardev file,id=a: chardev: file: no filename given",
                "-mon chardev=nosuch,mode=control | -mon chardev=nosuch,mode=control: chardev"
                        + " \"nosuch\" not found",
                "-chardev null,id=a -mon chardev=a,mode=foo | -mon chardev=a,mode=foo: Parameter"
                        + " 'mode' does not accept value 'foo'",
                "-chardev null,id=n -mon chardev=n -mon chardev=n | -mon chardev=n: chardev 'n' is"
                        + " already in use",
                "-qmp foo:bar | -qmp foo:bar: parse error: foo:bar",
                "-qmp tcp:127.0.0.1 | -qmp tcp:127.0.0.1: parse error: tcp:127.0.0.1",
                "-object foo,id=a | -object foo,id=a: Parameter 'qom-type' does not accept value"
                        + " 'foo'",
                "-object filter-mirror,id=a | -object filter-mirror,id=a: Parameter 'netdev' is"
                        + " missing",
                "-object filter-mirror,id=a,netdev=n,outdev=o,bogus=1 | -object"
                    + " filter-mirror,id=a,netdev=n,outdev=o,bogus=1: Invalid parameter 'bogus'",
                "-object iothread | -object iothread: Parameter 'id' is missing",
                "-object iothread,id=a -object iothread,id=a | -object iothread,id=a: Duplicate ID"
                        + " 'a' for object",
                "-object {\"qom-type\":\"iothread\",\"id\":\"a\" | -object"
                    + " {\"qom-type\":\"iothread\",\"id\":\"a\": JSON parse error, premature EOI",
                "-object {\"qom-type\":\"iothread\",\"id\":\"a\",\"bogus\":1} | -object"
                    + " {\"qom-type\":\"iothread\",\"id\":\"a\",\"bogus\":1}: Parameter 'bogus' is"
                    + " unexpected",
                "-device nosuch | -device nosuch: 'nosuch' is not a valid device model name",
                "-trace bogus=1 | -trace bogus=1: Invalid parameter 'bogus'",
                "-accel nosuch | -accel nosuch: invalid accelerator nosuch",
            })
    void answersAsRecorded(String options, String message) throws Exception {
        assertEquals(message, failure(List.of(options.split(" "))));
    }

    @Test
    void textsOfSeveralLines() throws Exception {
        assertTrue(
                failure(List.of("-chardev", "null,id=1a"))
                        .startsWith(
                                "-chardev null,id=1a: Parameter 'id' expects an identifier\n"
                                    + "Identifiers consist of letters, digits, '-', '.', '_',"));
        assertTrue(
                failure(List.of("-m", "abc"))
                        .startsWith(
                                "-m abc: Parameter 'size' expects a non-negative number below"
                                        + " 2^64\n"));
        assertEquals(
                "unsupported machine type: \"nosuch\"\n"
                        + "Use -machine help to list supported machines",
                failure(List.of("-machine", "nosuch")));
    }

    @Test
    void pidFileLivesWithTheProcess() throws Exception {
        Path file = directory.resolve("pid");
        try (TestVmm vmm = TestVmm.start("-pidfile", file.toString())) {
            assertEquals(
                    ProcessHandle.current().pid() + "\n",
                    Files.readString(file),
                    vmm.vmm().run().state().wireName());
        }
        assertFalse(Files.exists(file));
    }

    @Test
    void unixSocketIsRemovedAtTheEnd() throws Exception {
        Path socket = directory.resolve("qmp");
        try (TestVmm vmm = TestVmm.start("-qmp", "unix:" + socket + ",server,nowait")) {
            assertTrue(Files.exists(socket), vmm.vmm().run().state().wireName());
        }
        assertFalse(Files.exists(socket));
    }
}
