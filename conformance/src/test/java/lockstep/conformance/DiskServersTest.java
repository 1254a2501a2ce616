package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/**
 * {@code lockstep-nbd} and {@code lockstep-storage-daemon} beside {@code qemu-nbd} and {@code qemu-storage-daemon}: the same
 * shell script in a folder each, with QEMU's own programs as clients; both print the same.
 */
@Tag("qemu")
@Timeout(300)
class DiskServersTest {
    /** What ours does not have, and two words that are no names. */
    private static final Set<String> ABSENT =
            Set.of(
                    "name",
                    "return",
                    "blockdev-create",
                    "change-backing-file",
                    "x-blockdev-amend",
                    "x-blockdev-set-iothread");

    @TempDir Path folder;

    @BeforeEach
    void programs() {
        Host.assumeProgram("qemu-nbd");
        Host.assumeProgram("qemu-storage-daemon");
        Host.assumeProgram("qemu-io");
    }

    private String run(String name, String nbd, String daemon, String script) throws Exception {
        Path where = Files.createDirectory(folder.resolve(name));
        ProcessBuilder builder = new ProcessBuilder("sh", "-c", script);
        builder.environment()
                .putAll(
                        Map.of(
                                "NBD",
                                nbd,
                                "DAEMON",
                                daemon,
                                "QMP",
                                Host.home() + "/bin/lockstep-qmp"));
        builder.directory(where.toFile()).redirectErrorStream(true);
        Process process = builder.start();
        process.getOutputStream().close();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), text);
        return text.replace("lockstep-nbd", "qemu-nbd")
                .replace("lockstep-storage-daemon", "qemu-storage-daemon")
                .replace(where.toString(), "WHERE")
                .replaceAll("(?m)^.* ops; .*$", "OPS")
                .replaceAll("\"(seconds|microseconds)\": \\d+", "\"$1\": N")
                .replaceAll("\"micro\": \\d+, \"minor\": \\d+, \"major\": \\d+", "VERSION")
                .replaceAll("\"package\": \"[^\"]*\"", "PACKAGE");
    }

    private void both(String script) throws Exception {
        String home = Host.home() + "/bin/";
        String theirs = run("theirs", "qemu-nbd", "qemu-storage-daemon", script);
        String ours = run("ours", home + "lockstep-nbd", home + "lockstep-storage-daemon", script);
        assertEquals(theirs, ours);
        assertFalse(theirs.isEmpty());
    }

    @Test
    void theNbdServerServesAsItIsTold() throws Exception {
        both(
                """
                ended() { # waits until the server is no more
                    for i in $(seq 400); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done
                    kill -9 $pid 2>/dev/null && echo "it stays"
                    rm -f n.pid
                }
                end() { kill $pid; ended; }
                url="nbd+unix:///?socket=$PWD/n.sock"
                serve() { $NBD --fork --pid-file=n.pid -k "$PWD/n.sock" "$@"; echo "served $?"; pid=$(cat n.pid); }
                qemu-img create -q -f qcow2 d.qcow2 64M
                qemu-io -f qcow2 -c 'write -P 7 1M 1M' d.qcow2
                qemu-img snapshot -c first d.qcow2
                qemu-io -f qcow2 -c 'write -P 9 1M 1M' d.qcow2

                serve -f qcow2 d.qcow2
                qemu-nbd -L -k "$PWD/n.sock" # lists, and is no client
                qemu-io -f raw -c 'read -P 9 1M 1M' -c 'write -P 5 4M 64k' -c flush "$url"
                ended

                serve -t -e 3 -x 'the name' -D 'a text' -A -f qcow2 d.qcow2
                qemu-nbd -L -k "$PWD/n.sock"
                $NBD -L -k "$PWD/n.sock"
                end
                serve -t -f qcow2 -l first d.qcow2
                qemu-io -r -f raw -c 'read -P 7 1M 1M' "$url"
                $NBD -L -k "$PWD/n.sock"
                end
                serve -t -f qcow2 -l snapshot.name=first d.qcow2
                qemu-io -r -f raw -c 'read -P 7 1M 1M' "$url"
                end
                serve -t -s -f qcow2 -o 1048576 d.qcow2
                qemu-io -f raw -c 'read -P 9 0 1M' -c 'write -P 3 0 64k' -c 'read -P 3 0 64k' "$url"
                end
                serve -t -r -f raw --cache=none --aio=native d.qcow2
                qemu-io -r -f raw -c 'read 0 4k' "$url"
                end
                serve -t --image-opts driver=qcow2,discard=unmap,file.driver=file,file.filename=d.qcow2
                qemu-io -f raw -c 'read -P 9 1M 1M' -c 'discard 1M 1M' -c 'read -P 0 1M 1M' "$url"
                end
                qemu-io -r -f qcow2 -c 'read -P 5 4M 64k' -c 'read -P 0 1M 1M' d.qcow2
                qemu-img check d.qcow2 | head -n 1
                """);
    }

    @Test
    void theNbdServerRefusesAsQemusDoes() throws Exception {
        both(
                """
                try() { echo "\\$ $*"; timeout 60 $NBD "$@" < /dev/null; echo "status $?"; }
                qemu-img create -q -f qcow2 d.qcow2 64M
                long=$(printf 'a%.0s' $(seq 5000))
                try
                try -Z
                try --foo d.qcow2
                try -p
                try --port
                try --fork=1 d.qcow2
                try -f foo d.qcow2
                try d.qcow2 other
                try nosuch
                try -k relative d.qcow2
                try -e x d.qcow2
                try -o 70M d.qcow2
                try -o 100000000000 -f qcow2 d.qcow2
                try --cache=foo d.qcow2
                try --aio=foo d.qcow2
                try --aio=native -f qcow2 d.qcow2
                try --discard=foo d.qcow2
                try --detect-zeroes=foo d.qcow2
                try --detect-zeroes=unmap d.qcow2
                try -n --cache=none d.qcow2
                try --aio=threads --aio=threads d.qcow2
                try -f qcow2 -x $long d.qcow2
                try -f qcow2 -D $long d.qcow2
                try -L d.qcow2
                try -L -x name
                try -L --fork
                try -L -k "$PWD/nosuch"
                try --tls-creds=x d.qcow2
                try --tls-authz=x d.qcow2
                try --tls-hostname=x d.qcow2
                try --image-opts driver=foo
                try --image-opts x
                try --image-opts -f raw driver=file,filename=d.qcow2
                try -l nosuch -f qcow2 d.qcow2
                try --pid-file=/nosuch/x -f qcow2 -k "$PWD/n.sock" d.qcow2
                try --object foo,id=1 d.qcow2
                try --object iothread d.qcow2
                try -p x -f qcow2 d.qcow2
                try -k /nosuch/n.sock -f qcow2 d.qcow2
                """);
    }

    @Test
    void theStorageDaemonServesAsItIsTold() throws Exception {
        both(
                """
                qemu-img create -q -f qcow2 a.qcow2 64M
                qemu-img create -q -f raw b.raw 64M
                qemu-io -f qcow2 -c 'write -P 7 1M 1M' a.qcow2
                $DAEMON --daemonize --pidfile d.pid --object iothread,id=t \\
                    --object throttle-group,id=g,limits.iops-total=100000 \\
                    --blockdev driver=file,node-name=f,filename=a.qcow2 \\
                    --blockdev '{"driver": "qcow2", "node-name": "a", "file": "f"}' \\
                    --blockdev driver=throttle,node-name=slow,throttle-group=g,file=a \\
                    --chardev socket,id=m,path=q.sock,server=on,wait=off --monitor m \\
                    --nbd-server addr.type=unix,addr.path=n.sock,max-connections=5 \\
                    --export nbd,id=e,node-name=slow,name=disk,writable=on
                echo "status $?"
                pid=$(cat d.pid)
                url="nbd+unix:///disk?socket=$PWD/n.sock"
                qemu-io -f raw -c 'read -P 7 1M 1M' -c 'write -P 5 4M 64k' "$url"
                qemu-nbd -L -k "$PWD/n.sock"
                ask() { $QMP --keep-going "$PWD/q.sock" 2>&1; }
                ask <<END
                {"execute": "query-block-exports"}
                {"execute": "query-jobs"}
                {"execute": "query-status"}
                {"execute": "blockdev-add", "arguments": {"driver": "file", "node-name": "b", "filename": "$PWD/b.raw"}}
                {"execute": "blockdev-add", "arguments": {"driver": "file", "node-name": "c"}}
                {"execute": "blockdev-mirror", "arguments": {"job-id": "j", "device": "slow", "target": "b", "sync": "full"}}
                END
                for i in $(seq 100); do echo query-jobs | ask | grep -q '"ready"' && break; done
                ask <<END
                {"execute": "job-complete", "arguments": {"id": "nosuch"}}
                {"execute": "block-job-cancel", "arguments": {"device": "j"}}
                {"execute": "object-del", "arguments": {"id": "g"}}
                {"execute": "block-export-del", "arguments": {"id": "e"}}
                END
                ask <<END
                {"execute": "query-block-exports"}
                {"execute": "quit"}
                END
                for i in $(seq 400); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done
                kill -9 $pid 2>/dev/null && echo "it stays"
                qemu-img compare -f qcow2 -F raw a.qcow2 b.raw
                qemu-img check a.qcow2 | head -n 1
                """);
    }

    @Test
    void theStorageDaemonRefusesAsQemusDoes() throws Exception {
        both(
                """
                try() { echo "\\$ $*"; timeout 60 $DAEMON "$@" < /dev/null; echo "status $?"; }
                qemu-img create -q -f qcow2 a.qcow2 64M
                try --foo
                try x
                try --blockdev
                try --daemonize=1
                try --blockdev foo
                try --blockdev help
                try --blockdev '{'
                try --blockdev driver=file,filename=/nosuch,node-name=a
                try --blockdev driver=file,filename=a.qcow2
                try --blockdev null-co,node-name=x --blockdev null-co,node-name=x
                try --chardev stdio
                try --chardev socket,id=a,path=/nosuch/x,server=on
                try --monitor nosuch
                try --monitor ''
                try --monitor help
                try --chardev null,id=x --monitor chardev=x,mode=readline
                try --chardev null,id=x --monitor chardev=x,mode=foo
                try --export foo
                try --export help
                try --export type=nbd,id=e,node-name=n
                try --export nbd,id=e
                try --blockdev null-co,node-name=n --export nbd,id=e,node-name=n
                try --nbd-server addr.type=unix
                try --nbd-server addr.type=foo
                try --nbd-server addr.type=unix,addr.path=/nosuch/s
                try --nbd-server addr.type=unix,addr.path=z,foo=1
                try --nbd-server addr.type=unix,addr.path=n.sock --nbd-server addr.type=unix,addr.path=n.sock
                try --object foo,id=1
                try --object secret,id=s
                try --object iothread
                try --object iothread,id=
                try --pidfile /nosuch/x
                try --daemonize --blockdev x
                """);
    }

    /** Every command and event of QEMU's daemon is known, or named here. */
    @Test
    void theStorageDaemonTellsItsInterface() throws Exception {
        String ask =
                "printf '%s' '{\"execute\": \"qmp_capabilities\"}{\"execute\": \"query-commands\"}"
                        + "{\"execute\": \"query-qmp-schema\"}{\"execute\": \"quit\"}'"
                        + " | $DAEMON --chardev stdio,id=m --monitor m";
        String home = Host.home() + "/bin/";
        String theirs = run("theirs", "", "qemu-storage-daemon", ask);
        String ours = run("ours", "", home + "lockstep-storage-daemon", ask);
        String commands =
                theirs.lines()
                        .filter(l -> l.startsWith("{\"return\": [{\"name\": \""))
                        .findFirst()
                        .orElseThrow();
        for (String name : commands.split("\"")) {
            if (name.matches("[a-z][-_a-z0-9]*") && !ABSENT.contains(name)) {
                assertTrue(ours.contains("{\"name\": \"" + name + "\"}"), name);
            }
        }
        assertTrue(ours.contains("\"BLOCK_JOB_READY\", \"meta-type\": \"event\""), ours);
        assertFalse(ours.contains("\"MIGRATION\""));
        assertFalse(ours.contains("device_add"));
    }
}
