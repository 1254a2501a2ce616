package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * Numbers and sizes that no one should give, wherever a user can give one: the installed QEMU and this program say the
 * same, but for what {@link #KEPT} lists with its reason and for what QEMU does not survive ({@link #FATAL}).
 *
 * <p>Of all values in all places a sample is tried, the same in each run. {@code -Dnumbers.seed=S} takes another one,
 * {@code -Dnumbers=N} one that is N times as large.
 */
@Tag("qemu")
@Timeout(value = 1200, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@EnabledIfSystemProperty(
        named = "numbers",
        matches = "[0-9]+",
        disabledReason =
                "takes minutes, and QEMU stands still over some numbers: -Dnumbers=1 runs it")
final class NumbersTest {
    private static final String QEMU = Host.qemu();

    private static final List<String> TEXTS =
            List.of(
                    "0",
                    "-1",
                    "1.5",
                    "0x10",
                    "010",
                    "1e3",
                    "1k",
                    "1M",
                    "1P",
                    "16E",
                    "8E",
                    "7.99E",
                    "9223372036854775807",
                    "9223372036854775808",
                    "18446744073709551615",
                    "18446744073709551616",
                    "99999999999999999999",
                    "",
                    " 1",
                    "+1",
                    "1kk",
                    "0.1",
                    "1.0000001k",
                    "nan",
                    "1B",
                    "4294967295",
                    "4294967296",
                    "65535",
                    "65536",
                    "2147483648",
                    "-9223372036854775808",
                    "0x",
                    "08");

    private static final List<String> NUMBERS =
            List.of(
                    "0",
                    "-1",
                    "1.5",
                    "1e3",
                    "9223372036854775807",
                    "9223372036854775808",
                    "18446744073709551615",
                    "18446744073709551616",
                    "-9223372036854775808",
                    "-9223372036854775809",
                    "255",
                    "256",
                    "65535",
                    "65536",
                    "2147483648",
                    "4294967295",
                    "4294967296",
                    "1e400",
                    "'1'",
                    "null",
                    "true",
                    "[]");

    /** Options of the command line; {@code {}} stands for the value. */
    private static final List<String> OPTIONS =
            List.of(
                    "-m {}",
                    "-m size={}",
                    "-m 64,slots={}",
                    "-m 64,maxmem={}",
                    "-smp {}",
                    "-smp 1,sockets={}",
                    "-smp 1,cores={}",
                    "-smp 1,maxcpus={}",
                    "-boot menu={}",
                    "-boot splash-time={}",
                    "-boot reboot-timeout={}",
                    "-boot strict={}",
                    "-rtc base={}",
                    "-rtc clock={}",
                    "-rtc driftfix={}",
                    "-global e1000.addr={}",
                    "-uuid {}",
                    "-add-fd fd={},set=1",
                    "-msg timestamp={}",
                    "-vga {}",
                    "-trace {}",
                    "-accel tcg,tb-size={}",
                    "-qmp tcp:127.0.0.1:{}",
                    "-monitor tcp:127.0.0.1:{},server,nowait",
                    "-chardev socket,id=c,host=127.0.0.1,port={},server=on,wait=off",
                    "-chardev socket,id=c,host=127.0.0.1,port=0,to={},server=on,wait=off",
                    "-chardev socket,id=c,fd={}",
                    "-chardev udp,id=c,host=127.0.0.1,port={}",
                    "-chardev ringbuf,id=c,size={}",
                    "-object memory-backend-ram,id=m,size={}",
                    "-object memory-backend-ram,id=m,size=1M,prealloc-threads={}",
                    "-object memory-backend-file,id=m,mem-path=memory,size={}",
                    "-object iothread,id=i,poll-max-ns={}",
                    "-object iothread,id=i,aio-max-batch={}",
                    "-netdev hubport,id=n,hubid={}",
                    "-netdev tap,id=n,fd={}",
                    "-netdev hubport,id=n,hubid=0 -object filter-buffer,id=f,netdev=n,interval={}",
                    "-netdev hubport,id=n,hubid=0"
                            + " -object filter-dump,id=f,netdev=n,file=dump,maxlen={}",
                    "-blockdev null-co,node-name=n,size={}",
                    "-blockdev null-co,node-name=n,latency-ns={}",
                    "-blockdev null-co,node-name=n,read-zeroes={}",
                    "-blockdev raw,node-name=n,file.driver=null-co,size={}",
                    "-blockdev raw,node-name=n,file.driver=null-co,offset={}",
                    "-blockdev qcow2,node-name=n,file.driver=file,file.filename=d.qcow2,"
                            + "l2-cache-size={}",
                    "-blockdev qcow2,node-name=n,file.driver=file,file.filename=d.qcow2,"
                            + "refcount-cache-size={}",
                    "-blockdev qcow2,node-name=n,file.driver=file,file.filename=d.qcow2,"
                            + "l2-cache-entry-size={}",
                    "-blockdev qcow2,node-name=n,file.driver=file,file.filename=d.qcow2,"
                            + "cache-clean-interval={}",
                    "-blockdev"
                        + " nbd,node-name=n,server.type=inet,server.host=127.0.0.1,server.port={}",
                    "-drive if=none,id=d,driver=null-co,index={}",
                    "-drive if=none,id=d,driver=null-co,read-only={}",
                    "-drive if=none,id=d,file=d.qcow2,format=qcow2,l2-cache-size={}",
                    "-drive if=none,id=d,file=d.qcow2,format=qcow2,cache-clean-interval={}",
                    "-drive if=none,id=d,file=nbd:127.0.0.1:{}");

    /** Lines of the human monitor, each with the one that undoes it. */
    private static final Map<String, String> LINES = lines();

    private static Map<String, String> lines() {
        Map<String, String> lines = new LinkedHashMap<>();
        for (String object :
                List.of(
                        "memory-backend-ram,id=x,size={}",
                        "memory-backend-ram,id=x,size=1M,prealloc-threads={}",
                        "memory-backend-memfd,id=x,size=1M,hugetlb=on,hugetlbsize={}",
                        "iothread,id=x,poll-max-ns={}",
                        "iothread,id=x,poll-grow={}",
                        "iothread,id=x,poll-shrink={}",
                        "filter-buffer,id=x,netdev=n1,interval={}",
                        "filter-dump,id=x,netdev=n1,file=/dev/null,maxlen={}",
                        "filter-mirror,id=x,netdev=n1,outdev=c1,vnet_hdr_support={}")) {
            lines.put("object_add " + object, "object_del x");
        }
        for (String drive :
                List.of(
                        "file=d.qcow2,format=qcow2,l2-cache-size={}",
                        "file=d.qcow2,format=qcow2,refcount-cache-size={}",
                        "file=d.qcow2,format=qcow2,l2-cache-entry-size={}",
                        "file=d.qcow2,format=qcow2,cache-clean-interval={}",
                        "file=d.qcow2,format=raw,offset={}",
                        "file=d.qcow2,format=raw,size={}",
                        "file=d.qcow2,format=raw,index={}")) {
            lines.put("drive_add 0 if=none,id=x," + drive, "drive_del x");
        }
        lines.put("netdev_add hubport,id=x,hubid={}", "netdev_del x");
        for (String line :
                List.of(
                        "balloon {}",
                        "cpu {}",
                        "i {}",
                        "i /b {}",
                        "o {} 1",
                        "o /b 1 {}",
                        "x {}",
                        "x /{}x 0",
                        "xp {}",
                        "xp /{}x 0",
                        "print {}",
                        "p /x {}",
                        "p /c {}",
                        "p /d {}",
                        "p /o {}",
                        "sum {} 1",
                        "gva2gpa {}",
                        "gpa2hva {}",
                        "nmi {}",
                        "migrate_set_parameter downtime-limit {}",
                        "migrate_set_parameter max-bandwidth {}",
                        "migrate_set_parameter multifd-channels {}",
                        "migrate_set_parameter x-checkpoint-delay {}",
                        "migrate_set_parameter announce-rounds {}",
                        "migrate_set_capability x-colo {}",
                        "migrate_incoming tcp:127.0.0.1:{}",
                        "info registers {}",
                        "ringbuf_read r1 {}",
                        "block_job_set_speed none {}",
                        "set_link n1 {}",
                        "qom-set /objects/i1 poll-max-ns {}",
                        "qom-set /objects/i1 aio-max-batch {}",
                        "device_del {}",
                        "netdev_del {}",
                        "drive_del {}",
                        "getfd {}",
                        "closefd {}")) {
            lines.put(line, "");
        }
        return lines;
    }

    /**
     * Where the two are meant to differ.
     *
     * @param request what was asked, as a regular expression
     * @param theirs QEMU's answer, likewise
     * @param ours ours, likewise
     * @param reason why
     */
    private record Kept(Pattern request, Pattern theirs, Pattern ours, String reason) {
        static Kept of(String request, String theirs, String ours, String reason) {
            return new Kept(
                    Pattern.compile(request),
                    Pattern.compile(theirs),
                    Pattern.compile(ours),
                    reason);
        }

        boolean covers(String asked, String said, String answered) {
            return request.matcher(asked).find()
                    && theirs.matcher(said).find()
                    && ours.matcher(answered).find();
        }
    }

    private static final String LATER = "the installed QEMU is older than the one that is followed";
    private static final String NO_WRAPPING =
            "QEMU takes the lower bits of a number that is too large, or stops itself";

    private static final String ONE_PORT =
            "a range of ports that ends below its first is that one port, in QEMU none";

    private static final String LIMIT = "which of the host's limits is met first";
    private static final String SPELLING = "a blank is missing in QEMU's text";
    private static final String NOT_THERE = "this program says that it does not have this";

    private static final List<Kept> KEPT =
            List.of(
                    Kept.of("", "", "is out of range for parameter", LATER),
                    Kept.of("-m .*0x10|object_add .*(size=0x)", "", "expects size", LATER),
                    Kept.of("maxmem=", "last:1", "hot-plug .* is not supported", NOT_THERE),
                    Kept.of("-smp", "Deprecated CPU topology", "greater than zero", LATER),
                    Kept.of("-smp", "", "Invalid SMP CPUs", NO_WRAPPING),
                    Kept.of("index=", "", "Invalid drive index", NO_WRAPPING),
                    Kept.of("balloon", "", "number too large", NO_WRAPPING),
                    Kept.of("hugetlbsize=", "", "power of 2", LIMIT),
                    Kept.of("info registers", "No CPU", "CPU#.* not available", NO_WRAPPING),
                    Kept.of("'to'", "Failed to create a socket", "", ONE_PORT),
                    Kept.of("memory-backend", "map backing store", "map backing store", LIMIT),
                    Kept.of("host-nodes", "Invalid host-nodes", "must be empty", NOT_THERE),
                    Kept.of("max-length", "in therange", "in the range", SPELLING),
                    Kept.of("-add-fd", "", "fd is not valid|fd option", NO_WRAPPING),
                    Kept.of(":|port=", "", "Servname not supported|Invalid port", NO_WRAPPING),
                    Kept.of("size", "", "size of ringbuf chardev must be", NO_WRAPPING),
                    Kept.of("memory-backend-", "", "multiple of 4 KiB|is too small for", LATER),
                    Kept.of("", "' is unexpected", "", LATER),
                    Kept.of(
                            "",
                            "",
                            "is not (supported|implemented) by this|does not accept value"
                                    + "|not compiled into|is not available",
                            NOT_THERE));

    /** What is not asked because QEMU 7.2 ends or hangs instead of answering; with the reason. */
    private static final Map<String, String> FATAL =
            Map.of(
                    "'type': '(memory|ringbuf)'.*'size': -?922337203685477580",
                    "it cannot allocate a ring of this size",
                    "colo-compare",
                    "it fails an assertion after every refusal to make one",
                    "null-(co|aio).*[': ]size[': =]+-[0-9]",
                    "it takes a size below zero of this driver for a mistake of its own",
                    "drive_add .*null-co.*size=-",
                    "likewise",
                    "memory-backend-(ram|memfd).*[': ]size[': =]+(8E|7.99E|9223372036854775807)",
                    "it rounds the size up and fails an assertion");

    @TempDir Path directory;
    private final Map<String, String> different = new TreeMap<>();

    @BeforeEach
    void needsQemu() {
        Host.assumeProgram(QEMU);
        Host.assumeProgram("qemu-img");
        Host.run("qemu-img", "create", "-q", "-f", "qcow2", image(), "64M");
    }

    private String image() {
        return directory + "/d.qcow2";
    }

    private void compare(String request, String theirs, String ours) {
        if (!theirs.equals(ours) && KEPT.stream().noneMatch(k -> k.covers(request, theirs, ours))) {
            different.put(request, ours + " instead of " + theirs);
        }
    }

    /** A part of all requests, without those that QEMU does not survive. */
    private static <T> List<T> sample(List<T> all, Function<T, String> request, int count) {
        Pattern fatal = Pattern.compile(String.join("|", FATAL.keySet()));
        List<T> sample =
                new ArrayList<>(
                        all.stream().filter(r -> !fatal.matcher(request.apply(r)).find()).toList());
        Collections.shuffle(sample, new Random(Long.getLong("numbers.seed", 1)));
        long size = Math.min(sample.size(), (long) count * Integer.getInteger("numbers", 1));
        return sample.subList(0, (int) size);
    }

    // ---- the command line

    /** Ends with an error in any case: the last option is wrong, so that nobody has to be stopped. */
    private String run(String program, String option) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(
                        List.of(program, "-machine", "none", "-nodefaults", "-display", "none"));
        for (String one : option.split(" (?=-[a-z]+ )")) {
            command.addAll(List.of(one.split(" ", 2)));
        }
        command.addAll(List.of("-incoming", "last:1"));
        Files.deleteIfExists(directory.resolve("memory"));
        Path output = directory.resolve("output");
        Process p =
                new ProcessBuilder(command)
                        .directory(directory.toFile())
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectOutput(output.toFile())
                        .redirectErrorStream(true)
                        .start();
        if (!p.waitFor(60, TimeUnit.SECONDS)) {
            p.destroyForcibly();
            throw new AssertionError(command + " runs; it printed " + Host.text(output));
        }
        String name = Path.of(program).getFileName() + ": ";
        return p.exitValue() + " " + Host.text(output).replace(name, "").strip();
    }

    @Test
    void commandLine() throws IOException, InterruptedException {
        List<String> all = new ArrayList<>();
        OPTIONS.forEach(o -> TEXTS.forEach(t -> all.add(o.replace("{}", t))));
        for (String option : sample(all, o -> o, 20)) {
            compare(option, run(QEMU, option), run(Host.binary().toString(), option));
        }
        assertEquals(Map.of(), different);
    }

    // ---- the monitors

    private static ProbedMonitor start(String program) {
        return ProbedMonitor.start(
                program,
                "-machine",
                "none",
                "-nodefaults",
                "-display",
                "none",
                "-S",
                "-netdev",
                "hubport,id=n1,hubid=0",
                "-chardev",
                "null,id=c1",
                "-chardev",
                "ringbuf,id=r1,size=64",
                "-object",
                "iothread,id=i1",
                "-object",
                "throttle-group,id=t1",
                "-blockdev",
                "null-co,node-name=b1,size=65536,read-zeroes=on");
    }

    /** The two programs, both as they are after the same questions. */
    private static final class Both implements AutoCloseable {
        private final ProbedMonitor theirs = start(QEMU);
        private final ProbedMonitor ours = start(Host.binary().toString());

        @Override
        public void close() {
            theirs.close();
            ours.close();
        }
    }

    /**
     * Asks both the same and compares what they say. Now and then QEMU stands still over what earlier questions left
     * behind; then both begin anew, and it has to answer the question by itself.
     */
    private <T> void ask(
            List<T> questions,
            Function<T, String> name,
            BiFunction<ProbedMonitor, T, String> question) {
        Both both = new Both();
        try {
            for (T one : questions) {
                String expected;
                try {
                    expected = question.apply(both.theirs, one);
                } catch (UncheckedIOException e) {
                    both.close();
                    both = new Both();
                    expected = answer(both.theirs, one, question, QEMU + " at " + name.apply(one));
                }
                String where = "this program at " + name.apply(one);
                compare(name.apply(one), expected, answer(both.ours, one, question, where));
            }
        } finally {
            both.close();
        }
        assertEquals(Map.of(), different);
    }

    private static <T> String answer(
            ProbedMonitor monitor,
            T question,
            BiFunction<ProbedMonitor, T, String> ask,
            String where) {
        try {
            return ask.apply(monitor, question);
        } catch (UncheckedIOException e) {
            throw new AssertionError("the end of " + where, e);
        }
    }

    private String human(ProbedMonitor monitor, String line) {
        String quoted = JsonPrinter.compact(new JsonString(line.replace("d.qcow2", image())));
        JsonValue answer =
                monitor.answer("human-monitor-command", "{'command-line': " + quoted + "}");
        return answer instanceof JsonString s
                ? s.value().replace("\r\n", "\n").strip()
                : answer.toString();
    }

    /** A line of the human monitor, and the one that undoes it. */
    private record Line(String text, String undo) {}

    @Test
    void humanMonitor() {
        List<Line> all = new ArrayList<>();
        LINES.forEach(
                (line, undo) -> TEXTS.forEach(t -> all.add(new Line(line.replace("{}", t), undo))));
        ask(
                sample(all, Line::text, 300),
                Line::text,
                (monitor, line) -> {
                    String answer = human(monitor, line.text());
                    if (!line.undo().isEmpty()) {
                        human(monitor, line.undo());
                    }
                    return answer;
                });
    }

    /** A command with a number in its arguments. */
    private record Request(String command, String arguments) {
        @Override
        public String toString() {
            return command + " " + arguments;
        }
    }

    private static List<QmpNumbers.Place> places(ProbedMonitor monitor) {
        return new QmpNumbers(monitor.list("query-qmp-schema", "")).places();
    }

    /** Every integer of every argument that both know. */
    @Test
    void qmpArguments() {
        List<Request> all = new ArrayList<>();
        try (ProbedMonitor theirs = start(QEMU);
                ProbedMonitor ours = start(Host.binary().toString())) {
            Set<QmpNumbers.Place> places = new LinkedHashSet<>(places(theirs));
            places.retainAll(places(ours));
            for (QmpNumbers.Place place : places) {
                NUMBERS.forEach(n -> all.add(new Request(place.command(), place.arguments(n))));
            }
        }
        ask(
                sample(all, Request::toString, 500),
                Request::toString,
                (monitor, request) -> {
                    JsonValue answer = monitor.answer(request.command(), request.arguments());
                    if (ProbedMonitor.failed(answer)) {
                        return answer.toString();
                    }
                    Request undo = UNDO.get(request.command());
                    if (undo != null) {
                        monitor.answer(undo.command(), undo.arguments());
                    }
                    return "fine"; // What it returns is for other tests.
                });
    }

    private static final Map<String, Request> UNDO =
            Map.of(
                    "object-add", new Request("object-del", "{'id': 'x'}"),
                    "netdev_add", new Request("netdev_del", "{'id': 'x'}"),
                    "chardev-add", new Request("chardev-remove", "{'id': 'x'}"),
                    "blockdev-add", new Request("blockdev-del", "{'node-name': 'x'}"),
                    "nbd-server-start", new Request("nbd-server-stop", ""));
}
