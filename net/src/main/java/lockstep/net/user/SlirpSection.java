package lockstep.net.user;

import lockstep.runtime.memory.BigEndian;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.function.Supplier;

/**
 * What travels of a user network: whose the addresses are. Connections do not; the guest's next segment is answered by a
 * reset. QEMU: section {@code slirp}, written once for each such network under the same name, so that all are loaded
 * into the first; we write the first one's. State format 4 of libslirp.
 */
final class SlirpSection implements StateSection {
    /** Stands before the state of a connection to a guestfwd=, of which there are none here. */
    private static final int CONNECTION = 42;

    private final Supplier<UserStack> first;

    SlirpSection(Supplier<UserStack> first) {
        this.first = first;
    }

    @Override
    public String name() {
        return "slirp";
    }

    @Override
    public int version() {
        return 4;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        UserStack stack = first.get();
        byte[] data = new byte[3 + 8 * Dhcp.CLIENTS];
        Dhcp dhcp = stack.dhcp();
        BigEndian.put16(data, 1, stack.ethernet().identification());
        for (int i = 0; i < Dhcp.CLIENTS; i++) {
            long owner = dhcp.owner(i);
            if (owner >= 0) {
                BigEndian.put16(data, 3 + 8 * i, 1);
                BigEndian.put16(data, 5 + 8 * i, (int) (owner >> 32));
                BigEndian.put32(data, 7 + 8 * i, (int) owner);
            }
        }
        c.bytes("data", data);
        if (!c.loading()) {
            return;
        }
        if (data[0] == CONNECTION) {
            throw c.invalid("user networking: a connection through guestfwd= cannot be taken over");
        }
        stack.ethernet().identification(BigEndian.get16(data, 1));
        for (int i = 0; i < Dhcp.CLIENTS; i++) {
            boolean taken = BigEndian.get16(data, 3 + 8 * i) != 0;
            long hardware = (long) BigEndian.get16(data, 5 + 8 * i) << 32;
            dhcp.owner(i, taken ? hardware | BigEndian.get32(data, 7 + 8 * i) & 0xffff_ffffL : -1);
        }
    }
}
