package lockstep.runtime.tls;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.security.auth.x500.X500Principal;

/**
 * TLS over a stream of bytes. One thread reads, writers take turns. Reading and writing block as far as what is below
 * does.
 */
public final class TlsStream {
    /** What is below, read by one thread and written by one at a time. */
    public interface Raw {
        /** Reads at least one byte; -1 at the end, 0 where none is there yet and nobody is to wait. */
        int read(ByteBuffer target) throws IOException;

        /** Writes all, or remembers it. */
        void write(ByteBuffer source) throws IOException;

        /** Ends whatever read or write waits, and the connection with it. Any thread. */
        void cut();
    }

    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

    private final Raw raw;
    private final SSLEngine engine;

    /** Sealed bytes that were read, and what they held that nobody has taken yet; both ready to be read from. */
    private final ByteBuffer sealedIn;

    private final ByteBuffer opened;
    private final ByteBuffer sealedOut;
    private final Object writing = new Object();

    /** Not connected before {@link #handshake}. */
    TlsStream(Raw raw, SSLEngine engine) {
        this.raw = raw;
        this.engine = engine;
        int packet = engine.getSession().getPacketBufferSize();
        sealedIn = ByteBuffer.allocateDirect(packet).limit(0);
        sealedOut = ByteBuffer.allocateDirect(packet);
        opened = ByteBuffer.allocate(engine.getSession().getApplicationBufferSize()).limit(0);
    }

    /** Makes the peers known to each other. Once, before anything else. */
    void handshake() throws IOException {
        engine.beginHandshake();
        while (true) {
            switch (engine.getHandshakeStatus()) {
                case NEED_TASK -> tasks();
                case NEED_WRAP -> wrap(NOTHING);
                case NEED_UNWRAP, NEED_UNWRAP_AGAIN -> {
                    if (unwrap() < 0) {
                        throw new EOFException("The TLS connection was non-properly terminated.");
                    }
                }
                case FINISHED, NOT_HANDSHAKING -> {
                    return;
                }
            }
        }
    }

    /** Who the peer is, by its certificate, in the order of the certificate; empty where it showed none. */
    String peer() {
        try {
            return engine.getSession().getPeerPrincipal() instanceof X500Principal p
                    ? DistinguishedName.inOrder(p)
                    : "";
        } catch (SSLPeerUnverifiedException e) {
            return "";
        }
    }

    private void tasks() {
        for (Runnable task = engine.getDelegatedTask();
                task != null;
                task = engine.getDelegatedTask()) {
            task.run();
        }
    }

    /** Seals what is in {@code source}, or what the protocol wants to say, and sends it. */
    private void wrap(ByteBuffer source) throws IOException {
        synchronized (writing) {
            do {
                sealedOut.clear();
                SSLEngineResult result;
                try {
                    result = engine.wrap(source, sealedOut);
                } catch (SSLException e) {
                    sayWhy();
                    throw e;
                }
                sealedOut.flip();
                raw.write(sealedOut);
                if (result.getStatus() == SSLEngineResult.Status.CLOSED && source.hasRemaining()) {
                    throw new EOFException("The TLS connection is closed");
                }
                if (result.getHandshakeStatus() == HandshakeStatus.NEED_TASK) {
                    tasks();
                }
            } while (source.hasRemaining());
        }
    }

    /** {@link #unwrap} has nothing to open yet. */
    private static final int NOT_YET = -2;

    /**
     * Opens one packet into {@link #opened}: its bytes, 0 where it was the protocol's own, -1 at the end, {@link
     * #NOT_YET}.
     */
    private int unwrap() throws IOException {
        while (true) {
            opened.clear();
            SSLEngineResult result;
            try {
                result = engine.unwrap(sealedIn, opened);
            } catch (SSLException e) {
                opened.flip();
                sayWhy();
                throw e;
            }
            opened.flip();
            switch (result.getStatus()) {
                case OK -> {
                    return result.bytesProduced();
                }
                case CLOSED -> {
                    return -1;
                }
                case BUFFER_UNDERFLOW -> {
                    sealedIn.compact();
                    int n;
                    try {
                        n = raw.read(sealedIn);
                    } finally {
                        sealedIn.flip();
                    }
                    if (n < 0) {
                        return -1;
                    }
                    if (n == 0) {
                        return NOT_YET;
                    }
                }
                case BUFFER_OVERFLOW ->
                        throw new IOException("A TLS packet is longer than the protocol allows");
            }
        }
    }

    /** Sends the alert that follows from what the peer did wrong. */
    private void sayWhy() {
        synchronized (writing) {
            try {
                if (engine.getHandshakeStatus() == HandshakeStatus.NEED_WRAP) {
                    sealedOut.clear();
                    engine.wrap(NOTHING, sealedOut);
                    raw.write(sealedOut.flip());
                }
            } catch (IOException e) {
                // It does not matter any more: what was wrong is told.
                return;
            }
        }
    }

    /** Whether a read has something without one of what is below. */
    public boolean holds() {
        // The length of a packet stands behind its kind and version, two bytes of five (RFC 8446,
        // 5.1).
        return opened.hasRemaining()
                || sealedIn.remaining() >= 5
                        && sealedIn.remaining()
                                >= 5 + (sealedIn.getShort(sealedIn.position() + 3) & 0xffff);
    }

    /** Reads at least one byte; -1 at the end, 0 where none is there yet and what is below does not wait. */
    public int read(ByteBuffer target) throws IOException {
        while (!opened.hasRemaining()) {
            int n = unwrap();
            if (n < 0) {
                return n == NOT_YET ? 0 : -1;
            }
            // A new key, or a ticket: what it takes is done by the way.
            HandshakeStatus now = engine.getHandshakeStatus();
            if (now == HandshakeStatus.NEED_TASK) {
                tasks();
            } else if (now == HandshakeStatus.NEED_WRAP) {
                wrap(NOTHING);
            }
        }
        int n = Math.min(opened.remaining(), target.remaining());
        target.put(target.position(), opened, opened.position(), n);
        target.position(target.position() + n);
        opened.position(opened.position() + n);
        return n;
    }

    /** Writes everything. */
    public void write(ByteBuffer source) throws IOException {
        if (source.hasRemaining()) {
            wrap(source);
        }
    }

    /** Tells the peer that nothing more comes; failures are no matter. */
    public void end() {
        engine.closeOutbound();
        try {
            wrap(NOTHING);
        } catch (IOException e) {
            // The peer is gone.
            return;
        }
    }
}
