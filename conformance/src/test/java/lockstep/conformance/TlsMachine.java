package lockstep.conformance;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A machine whose guest stands still, Lockstep's or QEMU's, with credentials {@code t}. */
final class TlsMachine {
    static final String QEMU = Host.qemu();

    private TlsMachine() {}

    /**
     * Starts it.
     *
     * @param who {@code lockstep} or {@code qemu}
     * @param endpoint {@code server} or {@code client}
     */
    static Monitor start(String who, String endpoint, Path certificates, String... more) {
        return new Monitor(words(who, endpoint, certificates, more));
    }

    /** The command for that. */
    static List<String> words(String who, String endpoint, Path certificates, String... more) {
        List<String> words =
                new ArrayList<>(
                        List.of(
                                who.equals("lockstep") ? Host.binary().toString() : QEMU,
                                "-M",
                                "pc-i440fx-7.2",
                                "-accel",
                                "tcg",
                                "-m",
                                "16",
                                "-nodefaults",
                                "-display",
                                "none",
                                "-S",
                                "-qmp",
                                "stdio",
                                "-object",
                                credentials(endpoint, certificates)));
        words.addAll(List.of(more));
        return words;
    }

    static String credentials(String endpoint, Path certificates) {
        return "tls-creds-x509,id=t,endpoint=" + endpoint + ",dir=" + certificates;
    }

    /** Connects many who say nothing to a port: more than are listened to at a time. */
    static void crowd(List<Socket> crowd, int port) throws IOException {
        for (int i = 0; i < 20; i++) {
            Socket stranger = new Socket(InetAddress.getLoopbackAddress(), port);
            crowd.add(stranger);
            stranger.setSoTimeout(60_000);
        }
    }

    static void closeAll(List<Socket> crowd) throws IOException {
        for (Socket stranger : crowd) {
            stranger.close();
        }
    }

    static int freePort() throws IOException {
        try (ServerSocket s = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return s.getLocalPort();
        }
    }
}
