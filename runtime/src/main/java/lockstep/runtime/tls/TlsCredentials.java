package lockstep.runtime.tls;

import lockstep.api.ObjectOptions;
import lockstep.api.QCryptoTLSCredsEndpoint;
import lockstep.api.TlsCredsX509Properties;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.linux.Errno;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.List;
import java.util.Objects;

import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * {@code tls-creds-x509}: certificates of one end of a connection, in files of a directory with the names that QEMU
 * gives them. Read when the object is made, under the machine lock; used by {@link TlsEnd} on any thread.
 */
public final class TlsCredentials implements UserObject {
    private static final String NO_PASSWORD = "";
    private static final String TLS_1_3 = "TLSv1.3";

    static {
        // A ticket is what a source that only sends never reads; when it closes its socket with
        // something unread, the
        // kernel drops what is still on its way to the peer. Sessions are not resumed here.
        System.setProperty("jdk.tls.server.newSessionTicketCount", "0");
        System.setProperty("jdk.tls.server.enableSessionTicketExtension", "false");
    }

    private static final QomKind<QCryptoTLSCredsEndpoint> ENDPOINT =
            new QomKind<>(
                    "QCryptoTLSCredsEndpoint",
                    QCryptoTLSCredsEndpoint::read,
                    QCryptoTLSCredsEndpoint::wireName);

    private static final QomType<TlsCredentials> COMMON =
            QomType.<TlsCredentials>abstraction("tls-creds")
                    .with("endpoint", ENDPOINT, null, o -> o.endpoint, (o, v) -> o.endpoint = v)
                    .with("dir", QomKind.STRING, null, o -> o.dir, (o, v) -> o.dir = v)
                    .with("verify-peer", QomKind.BOOL, null, o -> o.verify, (o, v) -> o.verify = v)
                    .with(
                            "priority",
                            QomKind.STRING,
                            null,
                            o -> o.priority,
                            (o, v) -> o.priority = v);

    /** As in QEMU, changes of an object in use are only remembered. */
    public static final QomType<TlsCredentials> TYPE =
            QomType.of("tls-creds-x509", COMMON)
                    .with("sanity-check", QomKind.BOOL, null, o -> o.sane, (o, v) -> o.sane = v)
                    .with(
                            "passwordid",
                            QomKind.STRING,
                            null,
                            o -> o.passwordId,
                            (o, v) -> o.passwordId = v)
                    .with("loaded", QomKind.BOOL, null, o -> true, (o, v) -> {});

    private QCryptoTLSCredsEndpoint endpoint;
    private String dir;
    private Boolean verify;
    private String priority;
    private Boolean sane;
    private String passwordId;

    private final boolean server;
    private final boolean verifies;
    private final List<String> protocols;

    /**
     * Whether certificates may be signed by RSASSA-PKCS1. The platform's engine does not offer it to clients for TLS 1.3,
     * and GnuTLS, which is QEMU's, then shows no certificate: so a server that wants one speaks TLS 1.2.
     */
    private boolean rsaAuthority;

    private final SSLContext context;

    private TlsCredentials(TlsCredsX509Properties p, String password) throws QmpException {
        endpoint = Objects.requireNonNullElse(p.endpoint(), QCryptoTLSCredsEndpoint.CLIENT);
        dir = Objects.requireNonNullElse(p.dir(), "");
        verify = Objects.requireNonNullElse(p.verifyPeer(), true);
        priority = Objects.requireNonNullElse(p.priority(), "");
        sane = Objects.requireNonNullElse(p.sanityCheck(), true);
        passwordId = Objects.requireNonNullElse(p.passwordid(), "");
        server = endpoint == QCryptoTLSCredsEndpoint.SERVER;
        verifies = verify;
        protocols = TlsPriority.protocols(priority);
        if (p.dir() == null) {
            throw new QmpException("Missing 'dir' property value");
        }
        context = load(password);
        if (server && verifies && rsaAuthority && !priority.contains("+VERS-TLS1.3")) {
            protocols.remove(TLS_1_3);
        }
    }

    /**
     * Makes one of {@code -object} options.
     *
     * @param password of a secret by its identifier
     */
    public static TlsCredentials create(ObjectOptions.TlsCredsX509 given, Passwords password)
            throws QmpException {
        TlsCredsX509Properties p = given.data();
        String id = p.passwordid();
        return new TlsCredentials(p, id == null ? NO_PASSWORD : password.of(id));
    }

    /** Where passwords are. */
    @FunctionalInterface
    public interface Passwords {
        /** The text of the secret with this identifier. */
        String of(String id) throws QmpException;
    }

    static QmpException unknown(String id) {
        return new QmpException("No TLS credentials with id '" + id + "'");
    }

    /** The credentials of that identifier, which must be for that end. Under the machine lock. */
    static TlsCredentials find(ObjectTree objects, String id, boolean server) throws QmpException {
        UserObject object = objects.object(id);
        if (object == null) {
            throw unknown(id);
        }
        if (!(object instanceof TlsCredentials c)) {
            throw new QmpException("Object with id '" + id + "' is not TLS credentials");
        }
        if (c.server != server) {
            throw new QmpException(
                    "Expected TLS credentials for a "
                            + (server ? "server" : "client")
                            + " endpoint");
        }
        return c;
    }

    // ---- files

    private byte @Nullable [] file(String name, boolean needed) throws QmpException {
        Path path = Path.of(dir, name);
        try {
            return Files.readAllBytes(path);
        } catch (NoSuchFileException e) {
            if (!needed) {
                return null;
            }
            throw unreadable(path, Errno.text(Errno.ENOENT), e);
        } catch (AccessDeniedException e) {
            throw unreadable(path, Errno.text(Errno.EACCES), e);
        } catch (IOException e) {
            throw unreadable(path, String.valueOf(e.getMessage()), e);
        }
    }

    private static QmpException unreadable(Path path, String why, IOException e) {
        return new QmpException(
                ErrorClass.GENERIC_ERROR, "Unable to access credentials " + path + ": " + why, e);
    }

    private SSLContext load(String password) throws QmpException {
        String side = server ? "server" : "client";
        byte[] authority = Objects.requireNonNull(file("ca-cert.pem", true));
        byte[] revoked = file("ca-crl.pem", false);
        byte[] certificate = file(side + "-cert.pem", server);
        byte[] key = file(side + "-key.pem", server);
        try {
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            KeyStore trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, null);
            int n = 0;
            for (Certificate c : certificates(factory, "ca-cert.pem", authority)) {
                checkDates(c, "CA", "ca-cert.pem");
                rsaAuthority |= c.getPublicKey().getAlgorithm().equals("RSA");
                trusted.setCertificateEntry("ca" + n++, c);
            }
            KeyStore own = KeyStore.getInstance("PKCS12");
            own.load(null, null);
            if (certificate != null && key != null) {
                Collection<? extends Certificate> chain =
                        certificates(factory, side + "-cert.pem", certificate);
                checkDates(chain.iterator().next(), side, side + "-cert.pem");
                own.setKeyEntry(
                        "own",
                        Pem.privateKey(key, password),
                        new char[0],
                        chain.toArray(new Certificate[0]));
            }
            KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
            keys.init(own, new char[0]);
            SSLContext made = SSLContext.getInstance("TLS");
            made.init(keys.getKeyManagers(), trust(trusted, revoked, factory), null);
            return made;
        } catch (GeneralSecurityException | IOException e) {
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR,
                    "Unable to load the credentials of " + dir + ": " + e.getMessage(),
                    e);
        }
    }

    private Collection<? extends Certificate> certificates(
            CertificateFactory factory, String name, byte[] file)
            throws QmpException, CertificateException {
        Collection<? extends Certificate> all =
                factory.generateCertificates(new ByteArrayInputStream(file));
        if (all.isEmpty()) {
            throw new QmpException("Unable to import certificate " + Path.of(dir, name));
        }
        return all;
    }

    private void checkDates(Certificate c, String side, String name) throws QmpException {
        if (!sane || !(c instanceof X509Certificate x)) {
            return;
        }
        String what = "The " + side + " certificate " + Path.of(dir, name);
        try {
            x.checkValidity();
        } catch (CertificateExpiredException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, what + " has expired", e);
        } catch (CertificateNotYetValidException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, what + " is not yet active", e);
        }
    }

    private TrustManager[] trust(
            KeyStore trusted, byte @Nullable [] revoked, CertificateFactory factory)
            throws GeneralSecurityException {
        if (!verifies) {
            return new TrustManager[] {new Anybody()};
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance("PKIX");
        if (revoked == null) {
            managers.init(trusted);
        } else {
            PKIXBuilderParameters p = new PKIXBuilderParameters(trusted, new X509CertSelector());
            p.addCertStore(
                    CertStore.getInstance(
                            "Collection",
                            new CollectionCertStoreParameters(
                                    factory.generateCRLs(new ByteArrayInputStream(revoked)))));
            p.setRevocationEnabled(true);
            managers.init(new CertPathTrustManagerParameters(p));
        }
        return managers.getTrustManagers();
    }

    /** For {@code verify-peer=off}. */
    private static final class Anybody extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    // ---- connections

    /**
     * Makes a stream secure, blocking.
     *
     * @param host the name that the server's certificate must be for; null where none is known, which a client that
     *     verifies refuses
     * @throws IOException with a sentence for the user
     */
    TlsStream connect(TlsStream.Raw raw, @Nullable String host) throws IOException {
        if (!server && verifies && host == null) {
            throw new IOException("No hostname for certificate validation");
        }
        SSLEngine engine =
                host == null || server
                        ? context.createSSLEngine()
                        : context.createSSLEngine(host, -1);
        engine.setUseClientMode(!server);
        SSLParameters p = engine.getSSLParameters();
        p.setProtocols(protocols.toArray(new String[0]));
        if (server) {
            p.setNeedClientAuth(verifies);
        } else if (verifies) {
            p.setEndpointIdentificationAlgorithm("HTTPS");
        }
        engine.setSSLParameters(p);
        TlsStream stream = new TlsStream(raw, engine);
        try {
            stream.handshake();
        } catch (IOException e) {
            String why = e.getMessage() == null ? "the connection was cut" : e.getMessage();
            throw new IOException("TLS handshake failed: " + why, e);
        }
        return stream;
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {}
}
