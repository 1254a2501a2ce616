package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A host dies, the other goes on and is protected again by a new secondary, and so on; a client has one connection
 * all the time. {@code -Drounds=10} for more rounds.
 */
@Tag("tun")
@Tag("root")
class ProtectTest {
    private static final String ADDRESS = "10.77.0.60";
    private static final String NEXT_ADDRESS = "10.77.0.61";
    private static final byte[] ADDRESS_BYTES = {10, 77, 0, 60};
    private static final int ROUNDS = Integer.getInteger("rounds", 2);
    private static final int FIRST_PORT = 56010;
    private static final String STOP = "{'execute': 'qmp_capabilities'} {'execute': 'stop'}";
    private static final String IMPATIENT =
            "{'execute': 'qmp_capabilities'} {'execute': 'migrate-set-parameters', 'arguments':"
                    + " {'x-colo-timeout': 5000}}";
    private static final String CONT = "{'execute': 'qmp_capabilities'} {'execute': 'cont'}";
    private static final String QUIT = "{'execute': 'qmp_capabilities'} {'execute': 'quit'}";

    /** Of a secondary with two cards, and of a primary with two disks whose filters stay. */
    private static final String TAKE_OVER =
            "{'execute': 'qmp_capabilities'} {'execute': 'nbd-server-stop'}"
                    + " {'execute': 'x-colo-lost-heartbeat'}"
                    + objectDel("f1")
                    + objectDel("f2")
                    + objectDel("f1.1")
                    + objectDel("f2.1");

    private static final String GO_ON =
            "{'execute': 'qmp_capabilities'} {'execute': 'x-colo-lost-heartbeat'}"
                    + dropReplication("colo-disk0", "replication0")
                    + dropReplication("colo-disk1", "replication0.1");

    private static final String WHAT_IS_THERE =
            "{'execute': 'qmp_capabilities'} {'execute': 'query-named-block-nodes'}"
                    + " {'execute': 'query-chardev'} {'execute': 'qom-list', 'arguments':"
                    + " {'path': '/objects'}}";

    @TempDir Path directory;

    private static String objectDel(String id) {
        return " {'execute': 'object-del', 'arguments': {'id': '" + id + "'}}";
    }

    private static String dropReplication(String disk, String node) {
        return " {'execute': 'x-blockdev-change', 'arguments': {'parent': '%s', 'child': 'children.1'}}"
                        .formatted(disk)
                + " {'execute': 'blockdev-del', 'arguments': {'node-name': '%s'}}".formatted(node);
    }

    @BeforeEach
    void machine() {
        ColoPair.assumePossible();
    }

    @Test
    void whoIsLeftIsProtectedAgain() throws IOException {
        try (ColoPair pair = new ColoPair(directory.resolve("p"), Guests.echo(ADDRESS_BYTES))) {
            Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
            pair.start();
            pair.protect();
            ColoPair.Side from = pair.primary;
            ColoPair.Side to = pair.secondary;
            pair.networkGuestIsUp();
            try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
                for (int round = 0; round < ROUNDS; round++) {
                    talk(client, "pair " + round);
                    boolean primaryDies = round % 3 < 2;
                    (primaryDies ? from : to).kill();
                    ColoPair.Side left = primaryDies ? to : from;
                    pair.ncAnswers(
                            left.qmp, primaryDies ? "secondary-failover" : "primary-failover");
                    talk(client, "alone " + round);
                    ColoPair.Side fresh = pair.another("next" + round, FIRST_PORT + 10 * round);
                    assertTrue(
                            colo(pair, "protect", left, fresh).contains("protected"),
                            () -> left + "\n" + fresh);
                    from = left;
                    to = fresh;
                }
                talk(client, "at the end");
                String status = colo(pair, "status", from, to);
                assertTrue(status.contains(": primary, guest running"), status);
                assertTrue(status.contains(": secondary, guest running"), status);
            }
        }
    }

    /** What happens when the program says what. */
    private enum Break {
        SECONDARY_WHILE_COPYING("the disk is copied", How.SECONDARY_DIES),
        SILENCE_WHILE_COPYING("the disk is copied", How.SECONDARY_HANGS),
        PROGRAM_WHILE_COPYING("the disk is copied", How.PROGRAM_DIES),
        SECONDARY_WHILE_MOVING("the guest moves", How.SECONDARY_DIES),
        SILENCE_WHILE_MOVING("the guest moves", How.SECONDARY_HANGS),
        PROGRAM_WHILE_MOVING("the guest moves", How.PROGRAM_DIES),
        SECONDARY_BEHIND_IT("the guest stood", How.SECONDARY_DIES);

        private final String line;
        private final How how;

        Break(String line, How how) {
            this.line = line;
            this.how = how;
        }
    }

    private enum How {
        SECONDARY_DIES,
        SECONDARY_HANGS,
        PROGRAM_DIES
    }

    /** The survivor's guest goes on whoever dies on the way, and in the end it is protected. */
    @Test
    void whatBreaksOnTheWayIsDoneAgain() throws Exception {
        try (ColoPair pair = new ColoPair(directory.resolve("b"), Guests.echo(ADDRESS_BYTES))) {
            Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
            pair.start();
            pair.protect();
            pair.networkGuestIsUp();
            try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
                pair.primary.kill();
                ColoPair.Side left = pair.secondary;
                pair.ncAnswers(left.qmp, "secondary-failover");
                pair.talk(left.qmp, IMPATIENT, 2);
                boolean remains = false;
                for (Break what : Break.values()) {
                    String name = "fresh" + what.ordinal();
                    ColoPair.Side fresh = pair.another(name, FIRST_PORT + 10 * what.ordinal());
                    String told = broken(pair, left, fresh, what);
                    assertEquals(remains, told.contains("earlier protection"), told);
                    remains = what.how == How.PROGRAM_DIES;
                    if (what == Break.SECONDARY_BEHIND_IT) {
                        pair.ncAnswers(left.qmp, "primary-failover");
                    } else if (!remains) {
                        hasNothingLeft(pair, left);
                    }
                    talk(client, what.name());
                    fresh.kill();
                }
                ColoPair.Side fresh = pair.another("last", FIRST_PORT + 100);
                assertTrue(
                        colo(pair, "protect", left, fresh).contains("protected"), left::toString);
                talk(client, "pair again");
                left.kill();
                pair.ncAnswers(fresh.qmp, "secondary-failover");
                talk(client, "alone again");
            }
        }
    }

    /** Protects, and has it broken; gives what the program said. */
    private static String broken(ColoPair pair, ColoPair.Side left, ColoPair.Side fresh, Break what)
            throws Exception {
        List<String> command = coloCommand(pair, "protect", left, fresh);
        if (what.how == How.SECONDARY_HANGS) {
            command.add("--patience=3");
        }
        Process program = new ProcessBuilder(command).redirectErrorStream(true).start();
        StringBuilder told = new StringBuilder();
        boolean broken = false;
        try (var lines = program.inputReader()) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                told.append(line).append('\n');
                if (!broken && line.startsWith(what.line)) {
                    broken = true;
                    switch (what.how) {
                        case SECONDARY_DIES -> fresh.kill();
                        case SECONDARY_HANGS ->
                                Host.run("kill", "-STOP", Long.toString(fresh.process.pid()));
                        case PROGRAM_DIES -> program.toHandle().destroyForcibly();
                    }
                }
            }
        }
        assertTrue(program.waitFor(30, TimeUnit.SECONDS), told::toString);
        // Whether the first checkpoint was completed before the end of the secondary is chance.
        assertTrue(what == Break.SECONDARY_BEHIND_IT || program.exitValue() != 0, told::toString);
        return told.toString();
    }

    /** What was made for a secondary that did not become one is gone. */
    private static void hasNothingLeft(ColoPair pair, ColoPair.Side left) {
        String there = String.join("\n", pair.talk(left.qmp, WHAT_IS_THERE, 5));
        for (String name : List.of("colo-copy", "replication0", "comp0", "redire0")) {
            assertFalse(there.contains("\"" + name + "\""), there);
        }
    }

    /** A QEMU is the secondary, and goes on; with a QEMU 11 by a return path. */
    @Test
    @Tag("qemu")
    void aQemuIsTheSecondary() throws Exception {
        Host.assumeProgram(Host.qemu());
        try (ColoPair pair =
                new ColoPair(
                        directory.resolve("q"),
                        Guests.echo(ADDRESS_BYTES),
                        Host.binary(),
                        ColoPair.qemu(directory),
                        Host.accelerator(),
                        List.of("-M", "pc-i440fx-7.2"))) {
            Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
            pair.start();
            pair.talk(pair.primary.qmp, CONT, 3);
            pair.guestIsUp(pair.primary);
            assertTrue(colo(pair, "protect", pair.primary, pair.secondary).contains("protected"));
            try (EchoClient client = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"))) {
                talk(client, "pair");
                pair.primary.kill();
                pair.ncAnswers(pair.secondary.qmp, "secondary-failover");
                talk(client, "alone");
            }
        }
    }

    /** The guest writes to its disk all the time; what it wrote while it was copied and moved is on both. */
    @Test
    void bothDisksAreEqual() throws Exception {
        try (ColoPair pair = new ColoPair(directory.resolve("d"), Guests.counter())) {
            pair.start();
            pair.protect();
            pair.countsOnBoth();
            pair.primary.kill();
            ColoPair.Side left = pair.secondary;
            pair.ncAnswers(left.qmp, "secondary-failover");
            pair.goesOn(left);
            ColoPair.Side fresh = pair.another("next", FIRST_PORT);
            assertTrue(colo(pair, "protect", left, fresh).contains("protected"), left::toString);
            pair.talk(left.qmp, STOP, 3);
            for (ColoPair.Side side : List.of(left, fresh)) {
                pair.talk(side.qmp, QUIT, 2);
                assertTrue(side.process.waitFor(30, TimeUnit.SECONDS), side::toString);
            }
            Host.run(
                    "qemu-img",
                    "compare",
                    pair.directory.resolve("images/secondary/primary.qcow2").toString(),
                    pair.directory.resolve("images/next/primary.qcow2").toString());
        }
    }

    /** The secondary dies; its disk comes back, and only what it may lack is copied. Then the primary dies. */
    @Test
    void aLostSecondaryComesBackWithItsDisk() throws Exception {
        try (ColoPair pair = new ColoPair(directory.resolve("s"), Guests.writer())) {
            pair.start();
            pair.protect();
            pair.countsOnBoth();
            pair.goesOn(pair.primary);
            pair.secondary.kill();
            ColoPair.Side left = pair.primary;
            List<String> status = coloCommand(pair, "status", left, left);
            status.removeLast();
            Host.await(
                    "the status tells why COLO has ended",
                    ColoPair.PATIENCE,
                    () -> Host.run(status).contains("COLO has ended by an error"));
            pair.ncAnswers(left.qmp, "primary-failover");
            pair.goesOn(left);
            ColoPair.Side back = pair.another("back", FIRST_PORT, pair.secondary);
            // The same disk at another address may be another one.
            assertTrue(
                    refused(pair, left, back, "--incremental")
                            .contains("at 127.0.0.1:9999/parent0, but of 127.0.0.2:9999/parent0"));
            String told = colo(pair, "protect", left, back, "--incremental", "--host=127.0.0.2");
            assertTrue(told.contains("protected"), told);
            copiesLittle(told);
            pair.goesOn(left);
            left.kill();
            pair.ncAnswers(back.qmp, "secondary-failover");
            pair.goesOn(back);
            pair.talk(back.qmp, QUIT, 2);
            assertTrue(back.process.waitFor(30, TimeUnit.SECONDS), back::toString);
            holdsWhatItsGuestWrote(pair, back);
            travelled(pair, back);
        }
    }

    /** The primary ends in order, and its disk comes back; that this was so must be said. */
    @Test
    void anEndedPrimaryComesBackWithItsDisk() throws Exception {
        try (ColoPair pair = new ColoPair(directory.resolve("e"), Guests.writer())) {
            pair.start();
            pair.protect();
            pair.countsOnBoth();
            pair.goesOn(pair.primary);
            pair.talk(pair.primary.qmp, QUIT, 2);
            assertTrue(pair.primary.process.waitFor(30, TimeUnit.SECONDS), pair.primary::toString);
            ColoPair.Side left = pair.secondary;
            pair.ncAnswers(left.qmp, "secondary-failover");
            pair.goesOn(left);
            ColoPair.Side back = pair.another("back", FIRST_PORT, pair.primary);
            assertTrue(refused(pair, left, back, "--incremental").contains("copy the whole disk"));
            String told =
                    colo(pair, "protect", left, back, "--incremental", "--primary-ended-in-order");
            copiesLittle(told);
            pair.goesOn(left);
            pair.talk(left.qmp, STOP, 3);
            for (ColoPair.Side side : List.of(left, back)) {
                pair.talk(side.qmp, QUIT, 2);
                assertTrue(side.process.waitFor(30, TimeUnit.SECONDS), side::toString);
            }
            Host.run("qemu-img", "compare", pair.disk(left).toString(), pair.disk(back).toString());
            holdsWhatItsGuestWrote(pair, left);
            travelled(pair, back);
        }
    }

    /** A client talks over either card, and what either says is on a disk of its own, whoever dies. */
    @Test
    void allDisksAndCardsAreProtected() throws Exception {
        try (ColoPair pair = new ColoPair(directory.resolve("a"), Guests.keeping(ADDRESS_BYTES))) {
            pair.twofold = true;
            Host.run(pair.inNamespace("ip", "addr", "add", "10.77.0.1/24", "dev", "br0"));
            pair.start();
            pair.talk(pair.primary.qmp, CONT, 3);
            pair.guestIsUp(pair.primary);
            assertTrue(colo(pair, "protect", pair.primary, pair.secondary).contains("protected"));
            List<List<String>> said = List.of(new ArrayList<>(), new ArrayList<>());
            try (EchoClient first = new EchoClient(pair.inNamespace("nc", ADDRESS, "7"));
                    EchoClient second = new EchoClient(pair.inNamespace("nc", NEXT_ADDRESS, "7"))) {
                List<EchoClient> clients = List.of(first, second);
                keep(clients, said, "pair");
                pair.primary.kill();
                ColoPair.Side left = pair.secondary;
                pair.talk(left.qmp, TAKE_OVER, 7);
                keep(clients, said, "alone");
                ColoPair.Side next = pair.another("next", FIRST_PORT);
                assertTrue(colo(pair, "protect", left, next).contains("protected"));
                keep(clients, said, "pair again");
                String status = colo(pair, "status", left, next);
                assertTrue(status.contains("comp0: ") && status.contains("comp0.1: "), status);
                // It keeps its connections, which nobody misses.
                Host.run("kill", "-STOP", Long.toString(next.process.pid()));
                pair.talk(left.qmp, GO_ON, 6);
                keep(clients, said, "alone again");
                pair.others = script -> script.replace("0.0.0.0:9998", "0.0.0.0:9898");
                ColoPair.Side last = pair.another("last", FIRST_PORT + 10);
                String told =
                        colo(
                                pair,
                                "protect",
                                left,
                                last,
                                "--migration-port=9898",
                                "--nbd-port=9899");
                assertTrue(told.contains("protected"), told);
                keep(clients, said, "third pair");
                pair.talk(left.qmp, STOP, 3);
                for (ColoPair.Side side : List.of(left, last)) {
                    pair.talk(side.qmp, QUIT, 2);
                    assertTrue(side.process.waitFor(30, TimeUnit.SECONDS), side::toString);
                }
                for (int i = 0; i < 2; i++) {
                    Path disk = pair.disk(left, i);
                    Host.run("qemu-img", "compare", disk.toString(), pair.disk(last, i).toString());
                    assertEquals(said.get(i), kept(pair, disk), "disk " + i);
                }
            }
        }
    }

    private static void keep(List<EchoClient> clients, List<List<String>> said, String when)
            throws IOException {
        for (int i = 0; i < 20; i++) {
            for (int client = 0; client < clients.size(); client++) {
                String line = when + " " + i + " to " + client;
                clients.get(client).exchange(line);
                said.get(client).add(line);
            }
        }
    }

    /** The lines that the guest has written to a disk. */
    private static List<String> kept(ColoPair pair, Path disk) throws IOException {
        Path raw = pair.directory.resolve("content");
        Host.run("qemu-img", "convert", "-Oraw", disk.toString(), raw.toString());
        byte[] content = Files.readAllBytes(raw);
        List<String> lines = new ArrayList<>();
        for (int at = (int) Guests.FIRST_KEPT; content[at] != 0; at += 512) {
            lines.add(new String(content, at, 512, StandardCharsets.US_ASCII).split("\n", 2)[0]);
        }
        return lines;
    }

    /** A guest has a second disk and a second card; unless the user leaves them out, nothing is begun. */
    @Test
    void whatASecondaryWouldLackIsNamed() throws IOException {
        try (ColoPair pair = new ColoPair(directory.resolve("m"), Guests.counter())) {
            Path second = directory.resolve("second.raw");
            Path medium = directory.resolve("medium.raw");
            Files.write(second, new byte[1 << 20]);
            Files.write(medium, new byte[1 << 20]);
            pair.primary.own =
                    List.of(
                            "-drive",
                            "if=ide,id=disk1,format=raw,file=" + second,
                            "-drive",
                            "if=ide,id=cd0,media=cdrom,format=raw,file=" + medium,
                            "-netdev",
                            "socket,id=hn1,listen=127.0.0.1:9100",
                            "-device",
                            "e1000,netdev=hn1");
            pair.start();
            pair.talk(pair.primary.qmp, CONT, 3);
            String told = refused(pair, pair.primary, pair.secondary, "--leave-out=cd0");
            assertTrue(told.contains("no disk disk1 over a replication"), told);
            told =
                    refused(
                            pair,
                            pair.primary,
                            pair.secondary,
                            "--leave-out=cd0",
                            "--export=parent0,parent1");
            assertTrue(told.contains("disk1 is no quorum"), told);
            told = refused(pair, pair.primary, pair.secondary, "--disk=colo-disk0", "--netdev=hn0");
            assertTrue(told.contains("also has disk1, hn1,"), told);
            told = refused(pair, pair.primary, pair.secondary, "--leave-out=hn1,disk1,hn2");
            assertTrue(told.contains("no other disk or network backend hn2"), told);
            told = refused(pair, pair.primary, pair.secondary, "--leave-out=hn1,disk1");
            assertTrue(told.contains("no medium of 1048576 bytes in cd0"), told);
            assertFalse(told.contains("the secondary offers its disk"), told);
        }
    }

    /** Some of the disk, but far from all of it, may differ. */
    private static void copiesLittle(String told) {
        Matcher m =
                Pattern.compile(
                                "may differ in (\\d+) bytes of 67108864.*?(\\d+) bytes were copied",
                                Pattern.DOTALL)
                        .matcher(told);
        assertTrue(m.find(), told);
        for (int group = 1; group <= 2; group++) {
            long bytes = Long.parseLong(m.group(group));
            assertTrue(bytes > 0 && bytes < 32 << 20, told);
        }
    }

    /** As much has come to the disk that came back, by its image. */
    private static void travelled(ColoPair pair, ColoPair.Side back) {
        Matcher m =
                Pattern.compile("\"length\": (\\d+), \"depth\": 0, \"present\": true")
                        .matcher(
                                Host.run(
                                        "qemu-img",
                                        "map",
                                        "--output=json",
                                        pair.disk(back).toString()));
        long bytes = 0;
        while (m.find()) {
            bytes += Long.parseLong(m.group(1));
        }
        assertTrue(bytes > 0 && bytes < 48 << 20, bytes + " bytes were written");
    }

    /** No write of the guest's is missing on a side's disk, up to the last that it told of. */
    private static void holdsWhatItsGuestWrote(ColoPair pair, ColoPair.Side side)
            throws IOException {
        Path raw = pair.directory.resolve("content");
        Host.run("qemu-img", "convert", "-Oraw", pair.disk(side).toString(), raw.toString());
        int last = side.lastTick();
        ByteBuffer content =
                ByteBuffer.wrap(Files.readAllBytes(raw)).order(ByteOrder.LITTLE_ENDIAN);
        int[] expected = Guests.writtenBy(last, 65536);
        int[] later = Guests.writtenBy(last + 2, 65536);
        for (int sector = 1; sector < expected.length; sector++) {
            int found = content.getInt(sector * 512);
            if (found != later[sector]) {
                assertEquals(expected[sector], found, "sector " + sector + " after " + last);
            }
        }
    }

    private static String colo(
            ColoPair pair, String verb, ColoPair.Side one, ColoPair.Side two, String... options) {
        List<String> command = coloCommand(pair, verb, one, two);
        command.addAll(List.of(options));
        return Host.run(command);
    }

    private static List<String> coloCommand(
            ColoPair pair, String verb, ColoPair.Side one, ColoPair.Side two) {
        return pair.inNamespace(
                Host.home().resolve("bin/lockstep-colo").toString(),
                verb,
                "localhost:" + one.qmp,
                "localhost:" + two.qmp);
    }

    private static String refused(
            ColoPair pair, ColoPair.Side one, ColoPair.Side two, String... options) {
        return String.valueOf(
                assertThrows(AssertionError.class, () -> colo(pair, "protect", one, two, options))
                        .getMessage());
    }

    private static void talk(EchoClient client, String when) throws IOException {
        for (int i = 0; i < 20; i++) {
            client.exchange(when + " " + i);
        }
    }
}
