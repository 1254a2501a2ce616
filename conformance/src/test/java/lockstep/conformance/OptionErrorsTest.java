package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Command lines that cannot be carried out: QEMU and this program say the same and end alike. */
@Tag("qemu")
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class OptionErrorsTest {
    private static final String QEMU = Host.qemu();

    @TempDir Path directory;

    private record Ended(int status, String text) {}

    private Ended run(String program, String options) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(
                        List.of(program, "-machine", "none", "-nodefaults", "-display", "none"));
        command.addAll(List.of(options.split(" ")));
        Path output = directory.resolve("output");
        Process p =
                new ProcessBuilder(command)
                        .directory(directory.toFile())
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectOutput(output.toFile())
                        .redirectErrorStream(true)
                        .start();
        if (!p.waitFor(30, TimeUnit.SECONDS)) {
            p.destroyForcibly();
            throw new AssertionError(command + " runs; it printed " + Host.text(output));
        }
        String name = Path.of(program).getFileName() + ":";
        return new Ended(p.exitValue(), Host.text(output).replace(name, "PROG:"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "-nosuch",
                "-m",
                "-machine none,foo=1",
                "-machine none,accel=nosuch",
                "-machine accel=",
                "-machine memory-encryption=x",
                "-machine memory-encryption=",
                "-machine confidential-guest-support=x",
                "-machine phandle-start=x",
                "-machine pc,nvdimm=maybe -accel tcg",
                "-machine pc,kernel-irqchip=maybe -accel kvm",
                "-machine pc -accel tcg -cpu qemu64,bogus=on",
                "-machine pc -accel tcg -cpu qemu64,vmx=maybe",
                "-machine pc -accel tcg -cpu qemu64,+bogus",
                "-m abc",
                "-machine memory=100",
                "-machine memory.size=1x",
                "-machine memory.slots=2",
                "-machine memory.bogus=1",
                "-machine smp.cpus=x",
                "-machine boot.order=xyz",
                "-machine boot.order=cc",
                "-machine boot.menu=maybe",
                "-boot once=q",
                "-accel tcg,split-wx=maybe",
                "-accel tcg,thread=maybe",
                "-accel tcg,tb-size=x",
                "-accel kvm,kernel-irqchip=maybe",
                "-accel kvm,notify-vmexit=maybe",
                "-chardev foo,id=a",
                "-chardev null",
                "-chardev id=a",
                "-chardev null,id=a -chardev null,id=a",
                "-chardev null,id=1a",
                "-chardev null,id=a,bogus=1",
                "-chardev null,id=a,logfile=/nonexistent/x",
                "-chardev socket,id=a",
                "-chardev socket,id=a,host=H",
                "-chardev socket,id=a,path=p,host=h,port=1",
                "-chardev socket,id=a,host=127.0.0.1,port=1",
                "-chardev socket,id=a,path=p,server=maybe",
                "-chardev socket,id=a,host=127.0.0.1,port=1,wait=off",
                "-chardev socket,id=a,path=/nonexistent/s,server=on,wait=off",
                "-chardev socket,id=a,path=/nonexistent/s",
                "-chardev socket,id=a,fd=99,server=on",
                "-chardev file,id=a",
                "-chardev file,id=a,path=/nonexistent/x",
                "-chardev pipe,id=a",
                "-chardev udp,id=a",
                "-chardev serial,id=a",
                "-chardev mux,id=a",
                "-chardev mux,id=a,chardev=x",
                "-chardev ringbuf,id=a,size=1000",
                "-chardev stdio,id=a -chardev stdio,id=b",
                "-mon chardev=nosuch,mode=control",
                "-chardev null,id=a -mon chardev=a,mode=foo",
                "-chardev null,id=a -mon chardev=a,mode=control,pretty=maybe",
                "-chardev null,id=a -mon chardev=a,bogus=1",
                "-chardev null,id=a -chardev null,id=b -mon chardev=a,id=m -mon chardev=b,id=m",
                "-qmp foo:bar",
                "-qmp tcp:127.0.0.1",
                "-qmp chardev:nosuch",
                "-qmp unix:/nonexistent/x,server,nowait",
                "-qmp stdio -daemonize",
                "-serial foo:x",
                "-object foo,id=a",
                "-object filter-mirror,id=a",
                "-object filter-mirror,id=a,netdev=n,outdev=o",
                "-object filter-mirror,id=a,netdev=n,outdev=o,bogus=1",
                "-object iothread",
                "-object iothread,id=1a",
                "-object iothread,id=a -object iothread,id=a",
                "-object {\"qom-type\":\"iothread\",\"id\":\"a\"",
                "-object {\"qom-type\":\"iothread\",\"id\":\"a\",\"bogus\":1}",
                "-object []",
                "-netdev foo,id=a",
                "-device nosuch",
                "-device id=a",
                "-drive file=/nonexistent",
                "-drive if=foo,file=/dev/null",
                "-blockdev driver=foo,node-name=a",
                "-blockdev {\"driver\":\"null-co\"}",
                "-incoming foo:1",
                "-trace bogus=1",
                "-accel nosuch",
                "-add-fd fd=0,set=1",
                "-add-fd fd=99,set=1",
                "-add-fd set=1",
                "-pidfile /nonexistent/pid",
                "-D /nonexistent/log",
                "-name a,b=c",
                "/nonexistent.img",
            })
    void sameWords(String options) throws IOException, InterruptedException {
        Host.assumeProgram(QEMU);
        assertEquals(run(QEMU, options), run(Host.binary().toString(), options));
    }
}
