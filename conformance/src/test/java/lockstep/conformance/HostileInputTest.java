package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonPrinter;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Whatever is sent to a monitor, the answer is one for its user: no mistake of the program shows in it or
 * on standard error. {@code -Dhostile=N} sends N requests to each monitor, {@code -Dhostile.seed=S} the same
 * ones again.
 */
@Timeout(value = 1200, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class HostileInputTest {
    private static final int REQUESTS = Integer.getInteger("hostile", 3000);
    private static final int AT_ONCE = 100;
    private static final Pattern MISTAKE =
            Pattern.compile(".*(internal error|Exception|\\tat ).*", Pattern.CASE_INSENSITIVE);

    /** They end the process or what this test talks to, read its standard input, or wait for a peer. */
    private static final Set<String> EXCEPT =
            Set.of("quit", "q", "qmp_capabilities", "human-monitor-command", "log", "trace-event");

    /** Members that are left out: they wait, or take as much memory as they are told. */
    private static final Set<String> WITHOUT =
            Set.of("open-timeout", "prealloc", "reserve", "reconnect", "timeout");

    private static final List<String> TEXTS =
            List.of(
                    "",
                    "x",
                    "n1",
                    "c1",
                    "r1",
                    "i1",
                    "b1",
                    "0",
                    "-1",
                    "/",
                    "/objects/i1",
                    "tcp:",
                    "tcp:127.0.0.1:99999",
                    "tcp:127.0.0.1:1",
                    "unix:",
                    "fd:x",
                    "file:/nonexistent/x",
                    "nbd:",
                    "nbd://",
                    "json:{",
                    "json:{\"driver\":\"raw\",\"file\":1}",
                    "a,b=c",
                    "=",
                    "a..b=1",
                    "id=x,,",
                    "%s%n",
                    "\\\\",
                    "\\ud800",
                    "\\u0000",
                    "\\u00ff\\u20ac",
                    "a b");

    private static final List<String> NUMBERS =
            List.of(
                    "0",
                    "1",
                    "-1",
                    "1.5",
                    "1e400",
                    "-0",
                    "512",
                    "65536",
                    "2147483648",
                    "4294967295",
                    "9223372036854775807",
                    "-9223372036854775808",
                    "18446744073709551615",
                    "99999999999999999999");

    @TempDir Path directory;
    private MonitorProcess monitor;
    private Random random;

    @BeforeEach
    void start() {
        long seed = Long.getLong("hostile.seed", 1);
        System.out.println("-Dhostile.seed=" + seed);
        random = new Random(seed);
        monitor =
                new MonitorProcess(
                        Host.binary().toString(),
                        directory,
                        "-netdev",
                        "hubport,id=n1,hubid=0",
                        "-chardev",
                        "null,id=c1",
                        "-chardev",
                        "ringbuf,id=r1,size=64",
                        "-object",
                        "iothread,id=i1",
                        "-blockdev",
                        "null-co,node-name=b1");
    }

    @AfterEach
    void stop() {
        monitor.close();
    }

    private String pick(List<String> list) {
        return list.get(random.nextInt(list.size()));
    }

    private List<String> ask(List<String> requests) throws IOException {
        byte[] all = String.join("\n", requests).getBytes(StandardCharsets.UTF_8);
        return Replies.lines(monitor.answers(all, 4096));
    }

    private static void check(List<String> sent, List<String> answers, Set<String> mistakes) {
        for (String answer : answers) {
            if (MISTAKE.matcher(answer).matches()) {
                String at = answer.replaceAll(".*\"id\": ([0-9]+).*", "$1");
                mistakes.add(
                        answer
                                + " to "
                                + (at.matches("[0-9]+") ? sent.get(Integer.parseInt(at)) : sent));
            }
        }
    }

    private void noMistakes(Set<String> mistakes) {
        Host.text(directory.resolve("err"))
                .lines()
                .filter(line -> MISTAKE.matcher(line).matches())
                .forEach(mistakes::add);
        assertEquals(Set.of(), mistakes);
    }

    // ---- QMP

    private Map<String, JsonObject> schema() throws IOException {
        for (String line : ask(List.of("{\"execute\": \"query-qmp-schema\", \"id\": 0}"))) {
            try {
                if (JsonStreamParser.parse(line) instanceof JsonObject answer
                        && answer.get("return") instanceof JsonArray entities) {
                    Map<String, JsonObject> types = new LinkedHashMap<>();
                    for (JsonValue v : entities) {
                        types.put(ProbedMonitor.text(v, "name"), (JsonObject) v);
                    }
                    return types;
                }
            } catch (QmpException e) {
                throw new AssertionError(line, e);
            }
        }
        throw new AssertionError("no schema");
    }

    @Test
    void everyQmpCommand() throws IOException {
        Map<String, JsonObject> types = schema();
        List<JsonObject> commands =
                types.values().stream()
                        .filter(t -> ProbedMonitor.text(t, "meta-type").equals("command"))
                        .filter(t -> !EXCEPT.contains(ProbedMonitor.text(t, "name")))
                        .toList();
        Set<String> mistakes = new TreeSet<>();
        for (int sent = 0; sent < REQUESTS; sent += AT_ONCE) {
            List<String> requests = new ArrayList<>();
            for (int i = 0; i < AT_ONCE; i++) {
                JsonObject command = commands.get(random.nextInt(commands.size()));
                requests.add(
                        "{\"execute\": \"%s\", \"arguments\": %s, \"id\": %d}"
                                .formatted(
                                        ProbedMonitor.text(command, "name"),
                                        value(types, ProbedMonitor.text(command, "arg-type"), 0),
                                        i));
            }
            check(requests, ask(requests), mistakes);
        }
        noMistakes(mistakes);
    }

    private static List<JsonValue> list(JsonObject type, String member) {
        List<JsonValue> list = new ArrayList<>();
        if (type.get(member) instanceof JsonArray array) {
            array.forEach(list::add);
        }
        return list;
    }

    /** A value of a type, or now and then of any other. */
    private String value(Map<String, JsonObject> types, String name, int depth) {
        JsonObject type = types.get(name);
        if (type == null || depth > 8 || depth > 0 && random.nextInt(20) == 0) {
            return anything(0);
        }
        return switch (ProbedMonitor.text(type, "meta-type")) {
            case "builtin" ->
                    switch (ProbedMonitor.text(type, "json-type")) {
                        case "int", "number" -> pick(NUMBERS);
                        case "boolean" -> random.nextBoolean() ? "true" : "false";
                        case "string" -> quoted();
                        case "null" -> "null";
                        default -> anything(0);
                    };
            case "enum" -> {
                List<JsonValue> members = list(type, "members");
                yield "\""
                        + ProbedMonitor.text(members.get(random.nextInt(members.size())), "name")
                        + "\"";
            }
            case "array" -> {
                List<String> elements = new ArrayList<>();
                for (int n = random.nextInt(4); n > 0; n--) {
                    elements.add(value(types, ProbedMonitor.text(type, "element-type"), depth + 1));
                }
                yield elements.toString();
            }
            case "alternate" -> {
                List<JsonValue> members = list(type, "members");
                JsonValue one = members.get(random.nextInt(members.size()));
                yield value(types, ProbedMonitor.text(one, "type"), depth + 1);
            }
            default -> "{" + String.join(", ", members(types, type, depth)) + "}";
        };
    }

    private List<String> members(Map<String, JsonObject> types, JsonObject type, int depth) {
        List<String> members = new ArrayList<>();
        String tag = ProbedMonitor.text(type, "tag");
        List<JsonValue> variants = list(type, "variants");
        String branch =
                variants.isEmpty()
                        ? ""
                        : ProbedMonitor.text(variants.get(random.nextInt(variants.size())), "case");
        for (JsonValue m : list(type, "members")) {
            String name = ProbedMonitor.text(m, "name");
            boolean optional = m instanceof JsonObject o && o.get("default") != null;
            if (WITHOUT.contains(name) || random.nextInt(10) < (optional ? 5 : 1)) {
                continue;
            }
            String value =
                    name.equals(tag) && !branch.isEmpty()
                            ? "\"" + branch + "\""
                            : value(types, ProbedMonitor.text(m, "type"), depth + 1);
            members.add("\"" + name + "\": " + value);
        }
        for (JsonValue v : variants) {
            JsonObject more = types.get(ProbedMonitor.text(v, "type"));
            if (ProbedMonitor.text(v, "case").equals(branch) && more != null) {
                members.addAll(members(types, more, depth + 1));
            }
        }
        if (random.nextInt(30) == 0) {
            members.add("\"" + (random.nextBoolean() ? "id" : "x") + "\": " + anything(0));
        }
        return members;
    }

    private String quoted() {
        return random.nextInt(50) == 0
                ? "\"" + "x".repeat(1 << random.nextInt(20)) + "\""
                : "\"" + pick(TEXTS).replace("\"", "\\\"") + "\"";
    }

    private String anything(int depth) {
        return switch (random.nextInt(depth > 3 ? 4 : 7)) {
            case 0 -> "null";
            case 1 -> "true";
            case 2 -> pick(NUMBERS);
            case 3 -> quoted();
            case 4 -> "[" + anything(depth + 1) + "]";
            case 5 -> "{" + quoted() + ": " + anything(depth + 1) + "}";
            default -> "[".repeat(200) + "]".repeat(200);
        };
    }

    // ---- HMP

    private static String human(String line, int id) {
        return "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": %s}, \"id\": %d}"
                .formatted(JsonPrinter.compact(new JsonString(line)), id);
    }

    private List<String> names(String help) throws IOException {
        List<String> names = new ArrayList<>();
        Matcher m =
                Pattern.compile("(?:\\\\n|\": \")((?:info )?[a-z_0-9-]+)(?:\\|[a-z]+)?[ \\[]")
                        .matcher(String.join("", ask(List.of(human(help, 0)))));
        while (m.find()) {
            if (!EXCEPT.contains(m.group(1))) {
                names.add(m.group(1));
            }
        }
        return names;
    }

    @Test
    void everyHumanCommand() throws IOException {
        List<String> names = names("help");
        names.addAll(names("help info"));
        List<String> words = new ArrayList<>(TEXTS);
        words.addAll(NUMBERS);
        words.addAll(
                List.of("/", "/x", "/99999999999x", "-", "-a", "-f", "\"", "\"x", "$pc", "1k"));
        words.addAll(
                List.of("on", "off", "none", "null,id=x", "driver=null-co,id=x", "x".repeat(9999)));
        Set<String> mistakes = new TreeSet<>();
        for (int sent = 0; sent < REQUESTS; sent += AT_ONCE) {
            List<String> requests = new ArrayList<>();
            for (int i = 0; i < AT_ONCE; i++) {
                StringBuilder line = new StringBuilder(pick(names));
                for (int n = random.nextInt(5); n > 0; n--) {
                    line.append(' ').append(pick(words));
                }
                requests.add(human(line.toString(), i));
            }
            check(requests, ask(requests), mistakes);
        }
        noMistakes(mistakes);
    }
}
