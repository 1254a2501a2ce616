package lockstep.block;

import lockstep.runtime.linux.Errno;

import java.util.ArrayDeque;
import java.util.Queue;

/**
 * What becomes of a backend's requests that fail. One that stops the machine is kept, and submitted again when the
 * machine runs. Main loop, if nothing else is said.
 */
public final class ErrorPolicy {
    /** I/O status that management sees. */
    public enum IoStatus {
        OK,
        FAILED,
        NOSPACE
    }

    private final BlockBackend backend;
    private final BlockHost host;
    private final Queue<BackendRequest> kept = new ArrayDeque<>();
    private ErrorAction onRead = ErrorAction.REPORT;
    private ErrorAction onWrite = ErrorAction.ENOSPC;
    private IoStatus status = IoStatus.OK;

    ErrorPolicy(BlockBackend backend, BlockHost host) {
        this.backend = backend;
        this.host = host;
    }

    /** What happens when a read fails. */
    public ErrorAction onRead() {
        return onRead;
    }

    /** What happens when anything else fails. */
    public ErrorAction onWrite() {
        return onWrite;
    }

    /** Sets the policy; {@link ErrorAction#AUTO} keeps what the drive says. */
    public void set(ErrorAction read, ErrorAction write) {
        if (read != ErrorAction.AUTO) {
            onRead = read;
        }
        if (write != ErrorAction.AUTO) {
            onWrite = write;
        }
    }

    /** Whether management sees an I/O status: there is a device and some error would stop the machine. */
    public boolean hasStatus() {
        return decides()
                && (onWrite == ErrorAction.ENOSPC
                        || onWrite == ErrorAction.STOP
                        || onRead == ErrorAction.STOP);
    }

    /** What management sees, if it {@linkplain #hasStatus does}. */
    public IoStatus status() {
        return status;
    }

    /** Whether a failure is to be {@linkplain #decide decided} on: the requests are a device's. Any thread. */
    boolean decides() {
        return backend.device() != null;
    }

    /** Decides on a failure; false when the request is kept back. */
    boolean decide(BackendRequest request) {
        int errno = request.errno();
        boolean read = request.isRead();
        ErrorAction action = (read ? onRead : onWrite).decide(errno);
        if (action == ErrorAction.STOP && hasStatus() && status == IoStatus.OK) {
            status = errno == Errno.ENOSPC ? IoStatus.NOSPACE : IoStatus.FAILED;
        }
        host.ioError(backend, read, action, errno);
        if (action == ErrorAction.STOP) {
            kept.add(request);
            host.stopForIoError();
            return false;
        }
        if (action == ErrorAction.IGNORE) {
            request.errno(0);
        }
        return true;
    }

    /** The machine runs again: kept requests are submitted again and the I/O status is reset. */
    public void machineResumed() {
        status = IoStatus.OK;
        for (BackendRequest r = kept.poll(); r != null; r = kept.poll()) {
            r.errno(0);
            r.submit();
        }
    }

    /** Ends the requests that wait for the machine to run again with ECANCELED. Machine lock held. */
    public void cancelKept() {
        for (BackendRequest r = kept.poll(); r != null; r = kept.poll()) {
            r.errno(Errno.ECANCELED);
            r.complete();
        }
    }

    /** Whether requests wait for the machine to run again. */
    boolean keepsAny() {
        return !kept.isEmpty();
    }
}
