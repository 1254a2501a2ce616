package lockstep.runtime.migration;

import lockstep.api.MigrationCapability;
import lockstep.qmp.QmpException;
import lockstep.runtime.tls.TlsEnd;
import lockstep.runtime.tls.TlsStream;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;

/** A channel with TLS over another one. */
final class TlsLink implements MigrationChannel {
    private final MigrationChannel below;
    private final TlsStream stream;
    private volatile boolean shut;

    private TlsLink(MigrationChannel below, TlsStream stream) {
        this.below = below;
        this.stream = stream;
    }

    /**
     * Makes a channel secure if the parameters say so, blocking for the handshake; warns once of COLO that is not and
     * that others may reach. Not under the machine lock.
     *
     * @param server whether this end was connected to
     * @throws IOException with a sentence for the user; the channel is left open
     */
    static MigrationChannel secured(
            MigrationChannel channel,
            Address address,
            boolean server,
            MigrationSettings settings,
            MigrationHost host)
            throws IOException {
        String id = settings.tlsCredentials();
        if (id.isEmpty()) {
            if (settings.has(MigrationCapability.X_COLO)
                    && exposed(address)
                    && settings.firstExposure()) {
                host.report(
                        "warning: COLO goes over the network without TLS: whoever reaches it reads"
                                + " and changes the guest; see the migration parameter tls-creds");
            }
            return channel;
        }
        TlsEnd end;
        host.lock().acquire();
        try {
            TlsEnd.Source ends = TlsEnd.Source.of(host.objects(), host.lock());
            String allowed = settings.tlsAuthorization();
            end =
                    server
                            ? ends.server(id, allowed.isEmpty() ? null : allowed)
                            : ends.client(id, name(address, settings));
        } catch (QmpException e) {
            throw new IOException(e.getMessage(), e);
        } finally {
            host.lock().release();
        }
        TlsStream.Raw raw =
                new TlsStream.Raw() {
                    @Override
                    public int read(ByteBuffer target) throws IOException {
                        return channel.read(target);
                    }

                    @Override
                    public void write(ByteBuffer source) throws IOException {
                        channel.write(source);
                    }

                    @Override
                    public void cut() {
                        channel.shutdown();
                    }
                };
        return new TlsLink(channel, end.over(raw));
    }

    /** Whether other hosts may reach an address. */
    private static boolean exposed(Address address) {
        if (!(address instanceof Address.Tcp tcp)) {
            return false;
        }
        try {
            return tcp.host().isEmpty() || !InetAddress.getByName(tcp.host()).isLoopbackAddress();
        } catch (UnknownHostException e) {
            return true;
        }
    }

    private static @Nullable String name(Address address, MigrationSettings settings) {
        if (!settings.tlsHostname().isEmpty()) {
            return settings.tlsHostname();
        }
        return address instanceof Address.Tcp tcp ? tcp.host() : null;
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        return stream.read(target);
    }

    @Override
    public void write(ByteBuffer source) throws IOException {
        stream.write(source);
    }

    @Override
    public void shutdown() {
        shut = true;
        below.shutdown();
    }

    @Override
    public String kind() {
        return below.kind();
    }

    @Override
    public void close() {
        if (!shut) {
            shut = true;
            stream.end();
        }
        below.close();
    }
}
