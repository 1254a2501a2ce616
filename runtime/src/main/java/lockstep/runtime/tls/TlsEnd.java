package lockstep.runtime.tls;

import lockstep.qmp.QmpException;
import lockstep.runtime.loop.MachineLock;
import lockstep.runtime.object.ObjectTree;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** How one end of connections is made secure: with which credentials, and who may be at the other end. */
public final class TlsEnd {
    /** How long a peer may take to show who it is. */
    private static final int HANDSHAKE_SECONDS = 30;

    private final TlsCredentials credentials;
    private final @Nullable String host;
    private final @Nullable Permit permit;

    /** Who may connect, of those whose certificate is right. */
    private interface Permit {
        Authorization find() throws QmpException;
    }

    private TlsEnd(TlsCredentials credentials, @Nullable String host, @Nullable Permit permit) {
        this.credentials = credentials;
        this.host = host;
        this.permit = permit;
    }

    /** Makes ends of objects that users name. */
    public interface Source {
        /** Where there are no objects. */
        Source NONE =
                new Source() {
                    @Override
                    public TlsEnd client(String credentials, @Nullable String host)
                            throws QmpException {
                        throw TlsCredentials.unknown(credentials);
                    }

                    @Override
                    public TlsEnd server(String credentials, @Nullable String authorization)
                            throws QmpException {
                        throw TlsCredentials.unknown(credentials);
                    }
                };

        /**
         * The end that connects. Under the machine lock.
         *
         * @param credentials id of the object
         * @param host the name that the server's certificate must be for; null where none is known, which only
         *     credentials that verify nobody can do without
         */
        TlsEnd client(String credentials, @Nullable String host) throws QmpException;

        /**
         * The end that is connected to. Under the machine lock.
         *
         * @param credentials id of the object
         * @param authorization id of the object that decides about a peer, looked up for each; null for all peers
         */
        TlsEnd server(String credentials, @Nullable String authorization) throws QmpException;

        /** Of these objects. */
        static Source of(ObjectTree objects, MachineLock lock) {
            return new Source() {
                @Override
                public TlsEnd client(String credentials, @Nullable String host)
                        throws QmpException {
                    return new TlsEnd(TlsCredentials.find(objects, credentials, false), host, null);
                }

                @Override
                public TlsEnd server(String credentials, @Nullable String authorization)
                        throws QmpException {
                    Permit permit = null;
                    if (authorization != null) {
                        permit =
                                () -> {
                                    lock.acquire();
                                    try {
                                        return Authorization.find(objects, authorization);
                                    } finally {
                                        lock.release();
                                    }
                                };
                    }
                    return new TlsEnd(
                            TlsCredentials.find(objects, credentials, true), null, permit);
                }
            };
        }
    }

    /**
     * Makes a stream secure, blocking for the handshake, which is cut when it takes half a minute. Not under the machine
     * lock.
     *
     * @throws IOException with a sentence for the user
     */
    public TlsStream over(TlsStream.Raw raw) throws IOException {
        TlsStream stream = handshake(raw);
        Permit p = permit;
        if (p != null) {
            try {
                if (!p.find().allows(stream.peer())) {
                    throw new IOException(
                            "TLS x509 authz check for " + stream.peer() + " is denied");
                }
            } catch (QmpException e) {
                stream.end();
                throw new IOException(e.getMessage(), e);
            } catch (IOException e) {
                stream.end();
                throw e;
            }
        }
        return stream;
    }

    private TlsStream handshake(TlsStream.Raw raw) throws IOException {
        CompletableFuture<Void> done = new CompletableFuture<>();
        CompletableFuture<Void> late =
                done.orTimeout(HANDSHAKE_SECONDS, TimeUnit.SECONDS)
                        .exceptionally(
                                e -> {
                                    raw.cut();
                                    return null;
                                });
        try {
            return credentials.connect(raw, host);
        } catch (IOException e) {
            if (done.isCompletedExceptionally()) {
                throw new IOException("TLS handshake failed: the peer did not answer in time", e);
            }
            throw e;
        } finally {
            done.complete(null);
            late.join();
        }
    }
}
