package lockstep.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevFrontend;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** Replays exchanges recorded with QEMU; the answers must be the same byte for byte. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
final class QmpTranscriptTest {
    private static final String GREETING =
            "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 2, \"major\": 10},"
                    + " \"package\": \"\"}, \"capabilities\": [\"oob\"]}}";
    private static final String TELNET =
            "\u00ff\u00fb\u0001\u00ff\u00fb\u0003\u00ff\u00fb\u0000\u00ff\u00fd\u0000";
    private static final String STATUS = "{\"status\": \"prelaunch\", \"running\": false}";

    @TempDir Path directory;
    private TestVmm vmm;
    private Path socket;

    @BeforeEach
    void start() throws Exception {
        socket = directory.resolve("qmp");
        vmm =
                TestVmm.start(
                        "-S",
                        "-qmp",
                        "unix:" + socket + ",server=on,wait=off",
                        "-monitor",
                        "unix:" + directory.resolve("hmp") + ",server,nowait",
                        "-chardev",
                        "socket,id=tel,path="
                                + directory.resolve("tel")
                                + ",server=on,wait=off,telnet=on",
                        "-mon",
                        "chardev=tel,mode=control");
    }

    @AfterEach
    void stop() throws Exception {
        vmm.close();
    }

    private TestVmm.Client client() throws Exception {
        TestVmm.Client client = new TestVmm.Client(socket);
        assertEquals(GREETING, client.line());
        return client;
    }

    private TestVmm.Client negotiated() throws Exception {
        TestVmm.Client client = client();
        assertEquals("{\"return\": {}}", ask(client, "{\"execute\":\"qmp_capabilities\"}"));
        return client;
    }

    private static String ask(TestVmm.Client client, String request) throws Exception {
        return client.send(request + "\r\n").line();
    }

    private static String generic(String text) {
        return "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" + text + "\"}}";
    }

    @Test
    void negotiationComesFirst() throws Exception {
        try (TestVmm.Client c = client()) {
            assertEquals(
                    "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting"
                            + " capabilities negotiation with 'qmp_capabilities'\"}}",
                    ask(c, "{\"execute\":\"query-status\"}"));
            assertEquals(
                    generic("Parameter 'null' does not accept value 'foo'"),
                    ask(
                            c,
                            "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"foo\"]}}"));
            assertEquals(
                    generic("Invalid parameter type for 'enable', expected: array"),
                    ask(
                            c,
                            "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":\"oob\"}}"));
            assertEquals("{\"return\": {}}", ask(c, "{\"execute\":\"qmp_capabilities\"}"));
            assertEquals(
                    "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Capabilities"
                            + " negotiation is already complete, command ignored\"}}",
                    ask(c, "{\"execute\":\"qmp_capabilities\"}"));
        }
    }

    @Test
    void requestsOfTheWrongForm() throws Exception {
        try (TestVmm.Client c = negotiated()) {
            assertEquals(
                    "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nosuch"
                            + " has not been found\"}}",
                    ask(c, "{\"execute\":\"nosuch\"}"));
            assertEquals(
                    "{\"return\": " + STATUS + ", \"id\": 1}",
                    ask(c, "{\"execute\":\"query-status\",\"id\":1}"));
            String[][] wrong = {
                {"{\"execute\":\"device_del\"}", "Parameter 'id' is missing"},
                {
                    "{\"execute\":\"query-status\",\"arguments\":{\"foo\":1}}",
                    "Parameter 'foo' is unexpected"
                },
                {
                    "{\"execute\":\"device_del\",\"arguments\":{\"id\":5}}",
                    "Invalid parameter type for 'id', expected: string"
                },
                {
                    "{\"execute\":\"query-status\",\"arguments\":[]}",
                    "QMP input member 'arguments' must be an object"
                },
                {"{\"execute\":5}", "QMP input member 'execute' must be a string"},
                {"{\"exec-oob\":\"query-status\"}", "QMP input member 'exec-oob' is unexpected"},
                {
                    "{\"execute\":\"query-status\",\"foo\":1}",
                    "QMP input member 'foo' is unexpected"
                },
                {"{\"arguments\":{}}", "QMP input lacks member 'execute'"},
                {"[]", "QMP input must be a JSON object"},
                {"null", "QMP input must be a JSON object"},
            };
            for (String[] pair : wrong) {
                assertEquals(generic(pair[1]), ask(c, pair[0]), pair[0]);
            }
            assertEquals(
                    "{\"id\": \"z\", \"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input"
                            + " lacks member 'execute'\"}}",
                    ask(c, "{\"id\":\"z\"}"));
            assertEquals(
                    "{\"return\": {\"qemu\": {\"micro\": 2, \"minor\": 2, \"major\": 10},"
                            + " \"package\": \"\"}, \"id\": {\"a\": [1, 2.5, \"x\", null, true]}}",
                    ask(
                            c,
                            "{\"execute\":\"query-version\",\"id\":{\"a\":[1,2.5,\"x\",null,true]}}"));
        }
    }

    @Test
    void leniency() throws Exception {
        try (TestVmm.Client c = negotiated()) {
            c.send(
                    "{'execute': 'trace-event-set-state', 'arguments': {'name': 'colo*',"
                            + " 'enable':\n");
            c.send("true} }\n{'execute':'query-status','id':\"\\u00e9\\ud83d\\ude00\\/\\'\"}");
            assertEquals("{\"return\": {}}", c.line());
            assertEquals(
                    "{\"return\": " + STATUS + ", \"id\": \"\\u00E9\\uD83D\\uDE00/'\"}", c.line());
            assertEquals(generic("JSON parse error, invalid keyword 'tru'"), ask(c, "tru"));
            assertEquals(
                    generic("JSON parse error, expecting value"),
                    ask(c, "{\"execute\":\"query-status\",}"));
            c.send("{\"execute\":\"query-status\",\"id\":01}\n");
            assertEquals(generic("JSON parse error, stray '01'"), c.line());
            assertEquals(generic("JSON parse error, expecting value"), c.line());
            assertEquals(
                    "{\"return\": {}}",
                    ask(
                            c,
                            "{\"execute\":\"trace-event-set-state\","
                                    + "\"arguments\":{\"name\":\"zzz*\",\"enable\":true}}"));
        }
    }

    @Test
    void outOfBand() throws Exception {
        try (TestVmm.Client c = client()) {
            assertEquals(
                    "{\"return\": {}}",
                    ask(
                            c,
                            "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}"));
            assertEquals(
                    "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"The command"
                            + " query-status does not support OOB\"}}",
                    ask(c, "{\"exec-oob\":\"query-status\",\"id\":1}"));
            assertEquals(
                    generic("QMP input member 'execute' clashes with 'exec-oob'"),
                    ask(c, "{\"execute\":\"query-status\",\"exec-oob\":\"query-status\"}"));
            assertEquals(
                    "{\"return\": {}, \"id\": 3}",
                    ask(c, "{\"exec-oob\":\"yank\",\"arguments\":{\"instances\":[]},\"id\":3}"));
            assertEquals(
                    generic("QMP input member 'exec-oob' must be a string"),
                    ask(c, "{\"exec-oob\":5}"));
        }
    }

    @Test
    void stateEventsComeBeforeTheReply() throws Exception {
        try (TestVmm.Client c = negotiated()) {
            c.send("{\"execute\":\"cont\"}{\"execute\":\"stop\"}");
            assertTrue(c.line().endsWith("\"event\": \"RESUME\"}"));
            assertEquals("{\"return\": {}}", c.line());
            assertTrue(c.line().endsWith("\"event\": \"STOP\"}"));
            assertEquals("{\"return\": {}}", c.line());
            c.send("{\"execute\":\"quit\",\"id\":\"bye\"}");
            assertTrue(
                    c.line()
                            .endsWith(
                                    "\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false,"
                                            + " \"reason\": \"host-qmp-quit\"}}"));
            assertEquals("{\"return\": {}, \"id\": \"bye\"}", c.line());
            assertTrue(vmm.ended(10_000));
        }
    }

    @Test
    void halfCloseStillGetsEveryReply() throws Exception {
        int count = 5000;
        StringBuilder requests = new StringBuilder("{\"execute\":\"qmp_capabilities\"}");
        for (int i = 0; i < count; i++) {
            requests.append("{\"execute\":\"query-status\",\"id\":").append(i).append("}");
        }
        try (TestVmm.Client c = client();
                TestVmm.Client second = new TestVmm.Client(socket)) {
            second.send("{\"execute\":\"qmp_capabilities\"}");
            Thread writer =
                    Thread.ofVirtual()
                            .start(
                                    () -> {
                                        try {
                                            c.send(requests.toString()).endInput();
                                        } catch (java.io.IOException e) {
                                            throw new java.io.UncheckedIOException(e);
                                        }
                                    });
            String all = c.rest();
            writer.join();
            assertEquals(count + 1, all.split("\r\n").length);
            assertTrue(all.endsWith("\"id\": " + (count - 1) + "}\r\n"));
            // The second client waited in the kernel; it is greeted and negotiates afresh.
            assertEquals(GREETING, second.line());
            assertEquals("{\"return\": {}}", second.line());
        }
    }

    @Test
    void telnetGreets() throws Exception {
        try (TestVmm.Client c = new TestVmm.Client(directory.resolve("tel"))) {
            assertEquals(TELNET + GREETING, c.line());
            c.send("\u00ff\u00fd\u0003{\"exec\u00ff\u00f1ute\":\"qmp_capabilities\"}");
            assertEquals("{\"return\": {}}", c.line());
        }
    }

    @Test
    void humanMonitorEchoesByRedrawing() throws Exception {
        try (TestVmm.Client c = new TestVmm.Client(directory.resolve("hmp"))) {
            assertEquals(
                    "QEMU 10.2.2 monitor - type 'help' for more information\r\n(qemu) ",
                    c.until("(qemu) "));
            c.send("inf");
            assertEquals(
                    "i\u001b[K\u001b[Din\u001b[K\u001b[D\u001b[Dinf\u001b[K",
                    c.until("inf\u001b[K"));
            c.send("o status\n");
            assertTrue(
                    c.until("(qemu) ")
                            .endsWith(
                                    "info status\u001b[K\r\n"
                                            + "VM status: paused (prelaunch)\r\n"
                                            + "(qemu) "));
            c.send("nosuch\r\n");
            assertTrue(c.until("(qemu) ").endsWith("\r\nunknown command: 'nosuch'\r\n(qemu) "));
            assertEquals("\r\n(qemu) ", c.until("(qemu) "));
        }
    }

    private static String human(TestVmm.Client c, String line) throws Exception {
        String quoted = line.replace("\\", "\\\\").replace("\"", "\\\"");
        String reply =
                ask(
                        c,
                        "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\""
                                + quoted
                                + "\"}}");
        assertTrue(reply.startsWith("{\"return\": \""), reply);
        return reply.substring(12, reply.length() - 2)
                .replace("\\r\\n", "\n")
                .replace("\\\"", "\"");
    }

    @Test
    void humanMonitorCommands() throws Exception {
        try (TestVmm.Client c = negotiated()) {
            String[][] answers = {
                {"info status", "VM status: paused (prelaunch)\n"},
                {"info version", "10.2.2\n"},
                {"info name", ""},
                {"info kvm", "kvm support: disabled\n"},
                {"info iothreads", ""},
                {"nosuch cmd", "unknown command: 'nosuch'\n"},
                {"info nosuch", "unknown command: 'info nosuch'\n"},
                {
                    "info status extra",
                    "status: extraneous characters at the end of line\n"
                            + "Try \"help info status\" for more information\n"
                },
                {
                    "cont -x",
                    "cont|c: extraneous characters at the end of line\n"
                            + "Try \"help cont\" for more information\n"
                },
                {"stop", ""},
                {"", ""},
                {"device_del nosuch", "Error: Device 'nosuch' not found\n"},
                {"chardev-add null,id=x1", ""},
                {
                    "chardev-add null,id=x1",
                    "Error: attempt to add duplicate property 'x1' to object (type 'container')\n"
                },
                {"chardev-remove nope", "Error: Chardev 'nope' not found\n"},
                {"object_del nope", "Error: object 'nope' not found\n"},
                {"object_add filter-mirror,id=fm1", "Error: Parameter 'netdev' is missing\n"},
                {"trace-event nosuch on", "unknown event \"nosuch\"\n"},
                {"info trace-events colo_vm*", "colo_vm_state_change : state 0\n"},
                {"print 1+1", "0x2\n"},
                {"p/d 0x10 * 2", "32\n"},
                {"print/c 65", "'A'\n"},
                {"p 1/0", "division by zero\nTry \"help p\" for more information\n"},
                {"p $pc", "unknown register\nTry \"help p\" for more information\n"},
                {"xp/4xb 0", "0000000000000000: Cannot access memory\n"},
                {"x 0", "Can not dump without CPU\n"},
                {"sum 0 10", "00000\n"},
                {"sum 0", "unexpected end of expression\nTry \"help sum\" for more information\n"},
                {"i /b 0", "portb[0x0000] = 0xff\n"},
                {"info mice", "No mouse devices connected\n"},
                {"info balloon", "Error: No balloon device has been activated\n"},
                {"info memdev", "\n"},
                {"info qtree", "bus: main-system-bus\n  type System\n"},
                {"ringbuf_read x 1", "Error: Device 'x' not found\n"},
                {"qom-get /machine type", "\"none-machine\"\n"},
                {
                    "migrate_start_postcopy",
                    "Error: Enable postcopy with migrate_set_capability before the start of"
                            + " migration\n"
                },
                {
                    "migrate_recover tcp:host:1",
                    "Error: Migrate recover can only be run when postcopy is paused.\n"
                },
                {"log none", ""},
                {"help nosuch", "unknown command: 'nosuch'\n"},
            };
            for (String[] pair : answers) {
                assertEquals(pair[1], human(c, pair[0]), pair[0]);
            }
        }
    }

    /** What cannot be made is told by the command that asks for it, and nothing is lost. */
    @Test
    void whatIsKnownAtOnceIsAnsweredAtOnce() throws Exception {
        String change = "{'execute':'chardev-change','arguments':{'id':'k','backend':%s}}";
        String secret = "{'execute':'object-add','arguments':{'qom-type':'secret','id':'s'%s}}";
        String[][] answers = {
            {
                "{'execute':'chardev-add','arguments':{'id':'k','backend':{'type':'ringbuf',"
                        + "'data':{}}}}",
                "{\"return\": {}}"
            },
            {
                change.formatted("{'type':'file','data':{'out':'/nonexistent/x'}}"),
                generic(
                        "Failed to add chardev 'k': Could not open '/nonexistent/x': No such file"
                                + " or directory")
            },
            {
                "{'execute':'ringbuf-write','arguments':{'device':'k','data':'x'}}",
                "{\"return\": {}}"
            },
            {change.formatted("{'type':'null','data':{}}"), "{\"return\": {}}"},
            {
                "{'execute':'ringbuf-write','arguments':{'device':'k','data':'x'}}",
                generic("k is not a ringbuf device")
            },
            {
                secret.formatted(",'data':'%%','format':'base64'"),
                generic("Base64 data contains invalid characters")
            },
            {secret.formatted(""), generic("Either 'file' or 'data' must be provided")},
            {
                secret.formatted(",'file':'/nonexistent/x'"),
                generic(
                        "Unable to read /nonexistent/x: Failed to open file"
                                + " \\u201C/nonexistent/x\\u201D: No such file or directory")
            },
            {
                "{'execute':'migrate-set-parameters','arguments':{'announce-step':0}}",
                generic("Parameter 'announce_step' expects a value between 0 and 10000")
            },
        };
        try (TestVmm.Client c = negotiated()) {
            for (String[] pair : answers) {
                assertEquals(pair[1], ask(c, pair[0]), pair[0]);
            }
        }
    }

    @Test
    void characterDevices() throws Exception {
        try (TestVmm.Client c = negotiated()) {
            String[][] adds = {
                {"'id':'n1','backend':{'type':'null','data':{}}", "{\"return\": {}}"},
                {
                    "'id':'n1','backend':{'type':'null','data':{}}",
                    generic("Chardev with id 'n1' already exists")
                },
                {
                    "'id':'n2','backend':{'type':'null'}",
                    generic("Parameter 'backend.data' is missing")
                },
                {
                    "'id':'n2','backend':{'type':'nosuch','data':{}}",
                    generic("Parameter 'type' does not accept value 'nosuch'")
                },
                {
                    "'id':'f2','backend':{'type':'file','data':{'out':'/nonexistent/x'}}",
                    generic(
                            "Failed to add chardev 'f2': Could not open '/nonexistent/x': No such"
                                    + " file or directory")
                },
                {
                    "'id':'r2','backend':{'type':'ringbuf','data':{'size':1000}}",
                    generic(
                            "Failed to add chardev 'r2': size of ringbuf chardev must be power of"
                                    + " two")
                },
                {
                    "'id':'m2','backend':{'type':'mux','data':{'chardev':'nosuch'}}",
                    generic("Failed to add chardev 'm2': mux: base chardev nosuch not found")
                },
                {
                    "'id':'s6','backend':{'type':'socket','data':{'server':false,'wait':true,"
                            + "'addr':{'type':'inet','data':{'host':'127.0.0.1','port':'1'}}}}",
                    generic(
                            "Failed to add chardev 's6': 'wait' option is incompatible with socket"
                                    + " in client connect mode")
                },
                {
                    "'id':'s3','backend':{'type':'socket','data':{'server':false,'addr':{'type':"
                            + "'inet','data':{'host':'127.0.0.1','port':'1'}}}}",
                    generic(
                            "Failed to add chardev 's3': Failed to connect to '127.0.0.1:1':"
                                    + " Connection refused")
                },
                {
                    "'id':'s7','backend':{'type':'socket','data':{'addr':{'type':'inet','data':"
                            + "{'host':'127.0.0.1','port':1}}}}",
                    generic(
                            "Invalid parameter type for 'backend.data.addr.data.port', expected:"
                                    + " string")
                },
                {
                    "'id':'s9','backend':{'type':'socket','data':{'addr':{'type':'fd','data':"
                            + "{'str':'99'}}}}",
                    generic(
                            "Failed to add chardev 's9': File descriptor named '99' has not been"
                                    + " found")
                },
            };
            for (String[] pair : adds) {
                assertEquals(
                        pair[1],
                        ask(c, "{'execute':'chardev-add','arguments':{" + pair[0] + "}}"),
                        pair[0]);
            }
            assertEquals(
                    generic("Chardev 'nosuch' not found"),
                    ask(c, "{'execute':'chardev-remove','arguments':{'id':'nosuch'}}"));
            assertEquals(
                    generic("Chardev 'tel' is busy"),
                    ask(c, "{'execute':'chardev-remove','arguments':{'id':'tel'}}"));
            assertEquals(
                    "{\"return\": {}}",
                    ask(c, "{'execute':'chardev-remove','arguments':{'id':'n1'}}"));
        }
    }

    @Test
    void loopbackPair() throws Exception {
        try (TestVmm.Client c = negotiated()) {
            String server = "'data':{'host':'127.0.0.1','port':'0'}";
            assertEquals(
                    "{\"return\": {}}",
                    ask(
                            c,
                            "{'execute':'chardev-add','arguments':{'id':'a','backend':{'type':'socket',"
                                + "'data':{'addr':{'type':'inet',"
                                    + server
                                    + "}}}}}"));
            String devices = ask(c, "{'execute':'query-chardev'}");
            String mark = "disconnected:tcp:127.0.0.1:";
            int at = devices.indexOf(mark) + mark.length();
            String port = devices.substring(at, devices.indexOf(',', at));
            assertEquals(
                    "{\"return\": {}}",
                    ask(
                            c,
                            "{'execute':'chardev-add','arguments':{'id':'b','backend':{'type':'socket',"
                                + "'data':{'server':false,'addr':{'type':'inet','data':{'host':"
                                + "'127.0.0.1','port':'"
                                    + port
                                    + "'}}}}}}"));
            String expected = "tcp:127.0.0.1:" + port + ",server=on <-> 127.0.0.1:";
            String list = ask(c, "{'execute':'query-chardev'}");
            while (!list.contains(expected)) {
                list = ask(c, "{'execute':'query-chardev'}");
            }
        }
    }

    @Test
    void clientReconnects() throws Exception {
        try (TestVmm.Client c = negotiated();
                ServerSocketChannel server = ServerSocketChannel.open()) {
            server.bind(new InetSocketAddress("127.0.0.1", 0));
            int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
            assertEquals(
                    "{\"return\": {}}",
                    ask(
                            c,
                            "{'execute':'chardev-add','arguments':{'id':'r','backend':{'type':'socket',"
                                + "'data':{'server':false,'reconnect-ms':1,'addr':{'type':'inet',"
                                + "'data':{'host':'127.0.0.1','port':'"
                                    + port
                                    + "'}}}}}}"));
            vmm.vmm().lock().run(this::readFromR);
            for (int round = 0; round < 3; round++) {
                server.accept().close();
            }
        }
    }

    /** Only a device that is read notices that its peer left. */
    private void readFromR() {
        try {
            Chardev device = java.util.Objects.requireNonNull(vmm.vmm().chardevs().find("r"));
            device.attach(
                    new ChardevFrontend() {
                        @Override
                        public int canReceive() {
                            return 100;
                        }

                        @Override
                        public void receive(java.nio.ByteBuffer data) {}
                    },
                    vmm.vmm().mainLoop());
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
