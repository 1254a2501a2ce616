package lockstep.runtime.migration;

import lockstep.runtime.trace.Trace;
import lockstep.runtime.trace.TraceEvent;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Set;

/**
 * The section that carries the run state in which the source was before it stopped for the migration
 * (QEMU: vmstate "globalstate" v1). Used under the machine lock.
 */
public final class GlobalState implements StateSection {
    private static final int NAME_ROOM = 32;
    private static final TraceEvent SAVE = Trace.event("migrate_global_state_pre_save");

    private final Set<String> known;
    private final byte[] name = new byte[NAME_ROOM];
    private int size;
    private boolean suspended;
    private @Nullable String received;

    /** With the names of all run states that exist. */
    public GlobalState(Set<String> known) {
        this.known = known;
        store("running", false);
    }

    /** Remembers the present run state, and whether a stopped guest was asleep, for the streams to come. */
    public void store(String runState, boolean asleep) {
        suspended = asleep;
        byte[] ascii = runState.getBytes(StandardCharsets.US_ASCII);
        Arrays.fill(name, (byte) 0);
        System.arraycopy(ascii, 0, name, 0, Math.min(ascii.length, NAME_ROOM - 1));
        size = runState.length() + 1;
    }

    /** The run state that the last loaded stream carried; null when it carried none. */
    public @Nullable String received() {
        return received;
    }

    /** Whether the guest of the last loaded stream sleeps, or was stopped in its sleep. */
    public boolean receivedAsleep() {
        return received != null && (suspended || received.equals("suspended"));
    }

    /** Forgets what was received, before another stream. */
    public void forget() {
        received = null;
    }

    @Override
    public String name() {
        return "globalstate";
    }

    @Override
    public int priority() {
        // The last one, as if it had been registered behind all devices.
        return Integer.MIN_VALUE;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        size = c.u32("size", size);
        c.bytes("runstate", name);
        c.u8("has_vm_was_suspended", 1);
        suspended = c.u8("vm_was_suspended", suspended ? 1 : 0) != 0;
        c.pad("unused", 66);
    }

    @Override
    public void beforeSave() {
        SAVE.log("saved state: " + text());
    }

    @Override
    public void afterLoad(int version) throws StateException {
        String text = text();
        if (!known.contains(text)) {
            throw new StateException("invalid parameter value: " + text);
        }
        received = text;
    }

    private String text() {
        int end = 0;
        while (end < NAME_ROOM && name[end] != 0) {
            end++;
        }
        return new String(name, 0, end, StandardCharsets.ISO_8859_1);
    }
}
