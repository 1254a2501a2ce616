package lockstep.net;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Where NIC models get their port; published as a service of the Vmm. Used under the machine lock.
 */
public interface Nics {
    /**
     * Plugs a NIC into its backend.
     *
     * @param model the device type, such as {@code e1000}; appears in messages
     * @param id the device's id, or null: the port is then called model.number
     * @param netdev the id in {@code netdev=}, or null for a NIC whose cable leads nowhere
     * @param mac the address in {@code mac=}, or null for the next free one from 52:54:00:12:34:56
     *     on
     * @param client the NIC; no callback comes before this method has returned
     * @throws NetException {@code Property 'e1000.netdev' can't find value 'x'}, or the backend has
     *     a NIC already
     */
    NicPort attach(
            String model,
            @Nullable String id,
            @Nullable String netdev,
            @Nullable MacAddress mac,
            NicClient client)
            throws NetException;

    /**
     * A NIC that the user leaves to the machine to bring.
     *
     * @param model the device type, or null for the machine's choice
     * @param mac its address, or null for the next free one
     * @param netdev the id of its backend
     */
    record Wanted(@Nullable String model, @Nullable String mac, String netdev) {}

    /** The NICs that the machine is to bring, in the order of the command line. */
    default List<Wanted> wanted() {
        return List.of();
    }
}
