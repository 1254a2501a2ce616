package lockstep.net.tap;

import lockstep.net.NetException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.concurrent.TimeUnit;

/**
 * A program of the user's that is run with the interface's name when the interface comes or goes.
 */
final class NetworkScript {
    /** Run when {@code script=} is not given. */
    static final String DEFAULT_UP = "/etc/qemu-ifup";

    /** Run when {@code downscript=} is not given. */
    static final String DEFAULT_DOWN = "/etc/qemu-ifdown";

    private NetworkScript() {}

    /** Whether that value of {@code script=} means "none". */
    static boolean none(String script) {
        return script.isEmpty() || script.equals("no");
    }

    /**
     * Runs a script to its end. Its status in the message is that of wait(2): 256 for exit 1.
     *
     * @param seconds how long the machine waits for it; a script that takes longer goes on alone
     */
    static void run(String script, String ifname, int seconds) throws NetException {
        int status;
        try {
            Process running = new ProcessBuilder(script, ifname).inheritIO().start();
            if (!running.waitFor(seconds, TimeUnit.SECONDS)) {
                throw new NetException(
                        "network script " + script + " has not ended after " + seconds + " s");
            }
            status = running.exitValue();
        } catch (NetException e) {
            throw e;
        } catch (IOException e) {
            // QEMU's child ends with 1 when it cannot start the script.
            throw failed(script, 256, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw failed(script, 256, e);
        }
        if (status != 0) {
            throw failed(script, status > 128 ? status - 128 : status << 8, null);
        }
    }

    private static NetException failed(String script, int status, @Nullable Exception cause) {
        String message = "network script " + script + " failed with status " + status;
        return cause == null ? new NetException(message) : new NetException(message, cause);
    }
}
