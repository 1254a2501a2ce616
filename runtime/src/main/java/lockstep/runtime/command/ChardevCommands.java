package lockstep.runtime.command;

import lockstep.api.CharCommands;
import lockstep.api.ChardevAddArguments;
import lockstep.api.ChardevBackend;
import lockstep.api.ChardevBackendInfo;
import lockstep.api.ChardevBackendKind;
import lockstep.api.ChardevChangeArguments;
import lockstep.api.ChardevCommonMembers;
import lockstep.api.ChardevFile;
import lockstep.api.ChardevHostdev;
import lockstep.api.ChardevInfo;
import lockstep.api.ChardevMux;
import lockstep.api.ChardevPair;
import lockstep.api.ChardevPty;
import lockstep.api.ChardevRemoveArguments;
import lockstep.api.ChardevReturn;
import lockstep.api.ChardevRingbuf;
import lockstep.api.ChardevSendBreakArguments;
import lockstep.api.ChardevSocket;
import lockstep.api.ChardevStdio;
import lockstep.api.ChardevUdp;
import lockstep.api.DataFormat;
import lockstep.api.InetSocketAddress;
import lockstep.api.RingbufReadArguments;
import lockstep.api.RingbufWriteArguments;
import lockstep.api.SocketAddressLegacy;
import lockstep.api.UnixSocketAddress;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevConfig;
import lockstep.runtime.chardev.ChardevConfig.Address;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.RingbufChardev;
import lockstep.runtime.process.VmmProcess;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/** char.json. */
final class ChardevCommands implements CharCommands {
    private static final long DEFAULT_RING = 65536;

    private final VmmProcess vmm;

    ChardevCommands(VmmProcess vmm) {
        this.vmm = vmm;
    }

    @Override
    public List<ChardevInfo> queryChardev() {
        List<ChardevInfo> list = new ArrayList<>();
        for (Chardev c : vmm.chardevs().all()) {
            list.add(new ChardevInfo(c.id(), c.filename(), c.frontendOpen()));
        }
        return list;
    }

    @Override
    public List<ChardevBackendInfo> queryChardevBackends() {
        return ChardevConfig.KINDS.stream().map(ChardevBackendInfo::new).toList();
    }

    private RingbufChardev ring(String id) throws QmpException {
        Chardev device = vmm.chardevs().find(id);
        if (device == null) {
            throw new QmpException("Device '" + id + "' not found");
        }
        if (device instanceof RingbufChardev ring) {
            return ring;
        }
        throw new QmpException(id + " is not a ringbuf device");
    }

    @Override
    public void ringbufWrite(RingbufWriteArguments arguments) throws QmpException {
        RingbufChardev ring = ring(arguments.device());
        if (arguments.format() == DataFormat.BASE64) {
            try {
                ring.put(Base64.getDecoder().decode(arguments.data()));
            } catch (IllegalArgumentException e) {
                throw new QmpException(
                        ErrorClass.GENERIC_ERROR, "Base64 data contains invalid characters", e);
            }
        } else {
            ring.put(arguments.data().getBytes(StandardCharsets.UTF_8));
        }
    }

    @Override
    public String ringbufRead(RingbufReadArguments arguments) throws QmpException {
        RingbufChardev ring = ring(arguments.device());
        if (arguments.size() <= 0) {
            throw new QmpException("size must be greater than zero");
        }
        byte[] data = ring.take(arguments.size());
        return arguments.format() == DataFormat.BASE64
                ? Base64.getEncoder().encodeToString(data)
                : new String(data, StandardCharsets.UTF_8);
    }

    @Override
    public ChardevReturn chardevAdd(ChardevAddArguments arguments) throws QmpException {
        String id = arguments.id();
        if (vmm.chardevs().find(id) != null) {
            throw new QmpException("Chardev with id '" + id + "' already exists");
        }
        try {
            return result(
                    vmm.chardevs().create(id, config(arguments.backend()), false, vmm::notice));
        } catch (ChardevException e) {
            throw new QmpException(
                    ErrorClass.GENERIC_ERROR,
                    "Failed to add chardev '" + id + "': " + e.getMessage(),
                    e);
        }
    }

    private static ChardevReturn result(Chardev device) {
        String name = device.filename();
        return new ChardevReturn(name.startsWith("pty:") ? name.substring(4) : null);
    }

    @Override
    public ChardevReturn chardevChange(ChardevChangeArguments arguments) throws QmpException {
        try {
            return result(
                    vmm.chardevs()
                            .change(arguments.id(), config(arguments.backend()), vmm::notice));
        } catch (ChardevException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public void chardevRemove(ChardevRemoveArguments arguments) throws QmpException {
        try {
            vmm.chardevs().remove(arguments.id());
        } catch (ChardevException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public void chardevSendBreak(ChardevSendBreakArguments arguments) throws QmpException {
        Chardev device = vmm.chardevs().find(arguments.id());
        if (device == null) {
            throw new QmpException("Chardev '" + arguments.id() + "' not found");
        }
        device.sendBreak();
    }

    /** The runtime's form of what the schema describes. */
    private static ChardevConfig config(ChardevBackend backend) throws ChardevException {
        return switch (backend) {
            case ChardevBackend.Unrecognized u -> throw new AssertionError(u);
            case ChardevBackend.File b -> {
                ChardevFile f = b.data().data();
                boolean append = Boolean.TRUE.equals(f.append());
                yield logged(f, new ChardevConfig.File(f.out(), f.in(), append));
            }
            case ChardevBackend.Serial b -> host(b.data().data());
            case ChardevBackend.Parallel b -> host(b.data().data());
            case ChardevBackend.Pipe b -> {
                ChardevHostdev h = b.data().data();
                yield logged(h, new ChardevConfig.Pipe(h.device()));
            }
            case ChardevBackend.Socket b -> logged(b.data().data(), socket(b.data().data()));
            case ChardevBackend.Udp b -> {
                ChardevUdp u = b.data().data();
                SocketAddressLegacy local = u.local();
                Address.Inet from = local == null ? null : inet(local);
                yield logged(u, new ChardevConfig.Udp(inet(u.remote()), from));
            }
            case ChardevBackend.Pty b -> {
                ChardevPty p = b.data().data();
                yield logged(p, new ChardevConfig.Pty(p.path()));
            }
            case ChardevBackend.Null b -> logged(b.data().data(), new ChardevConfig.Null());
            case ChardevBackend.Mux b -> {
                ChardevMux m = b.data().data();
                yield logged(m, new ChardevConfig.Mux(m.chardev()));
            }
            case ChardevBackend.Stdio b -> {
                ChardevStdio s = b.data().data();
                yield logged(s, new ChardevConfig.Stdio(!Boolean.FALSE.equals(s.signal())));
            }
            case ChardevBackend.Ringbuf b -> ring(b.data().data());
            case ChardevBackend.Memory b -> ring(b.data().data());
            case ChardevBackend.Pair b -> {
                ChardevPair p = b.data().data();
                yield logged(p, new ChardevConfig.Pair(p.peer()));
            }
            case ChardevBackend.Vc b -> logged(b.data().data(), new ChardevConfig.Null());
            case ChardevBackend.Hub b -> throw unsupported(b.type());
            case ChardevBackend.Msmouse b -> throw unsupported(b.type());
            case ChardevBackend.Braille b -> throw unsupported(b.type());
            case ChardevBackend.Testdev b -> throw unsupported(b.type());
        };
    }

    private static ChardevConfig host(ChardevHostdev h) {
        return logged(h, new ChardevConfig.Host(h.device()));
    }

    private static ChardevException unsupported(ChardevBackendKind kind) {
        return new ChardevException("'" + kind.wireName() + "' is not a valid char driver name");
    }

    private static ChardevConfig ring(ChardevRingbuf r) {
        Long size = r.size();
        return logged(r, new ChardevConfig.Ringbuf(size == null ? DEFAULT_RING : size));
    }

    private static ChardevConfig logged(ChardevCommonMembers options, ChardevConfig config) {
        String file = options.logfile();
        return file == null
                ? config
                : new ChardevConfig.Logged(config, file, Boolean.TRUE.equals(options.logappend()));
    }

    private static ChardevConfig socket(ChardevSocket s) throws ChardevException {
        if (Boolean.TRUE.equals(s.websocket())) {
            throw new ChardevException("websocket is not supported by this build");
        }
        return new ChardevConfig.Socket(
                address(s.addr()),
                !Boolean.FALSE.equals(s.server()),
                s.wait_(),
                Boolean.TRUE.equals(s.telnet()),
                Boolean.TRUE.equals(s.tn3270()),
                s.tlsCreds(),
                s.tlsAuthz(),
                s.reconnectMs());
    }

    private static Address address(SocketAddressLegacy address) throws ChardevException {
        return switch (address) {
            case SocketAddressLegacy.Unrecognized u -> throw new AssertionError(u);
            case SocketAddressLegacy.Inet i -> {
                InetSocketAddress a = i.data().data();
                yield new Address.Inet(a.host(), a.port(), a.ipv4(), a.ipv6());
            }
            case SocketAddressLegacy.Unix u -> {
                UnixSocketAddress a = u.data().data();
                yield new Address.Unix(
                        a.path(),
                        Boolean.TRUE.equals(a.abstract_()),
                        !Boolean.FALSE.equals(a.tight()));
            }
            case SocketAddressLegacy.Fd f -> new Address.Descriptor(f.data().data().str());
            case SocketAddressLegacy.Vsock v ->
                    throw new ChardevException("vsock sockets are not supported by this build");
        };
    }

    private static Address.Inet inet(SocketAddressLegacy address) throws ChardevException {
        if (address(address) instanceof Address.Inet inet) {
            return inet;
        }
        throw new ChardevException("datagrams need an inet address");
    }
}
