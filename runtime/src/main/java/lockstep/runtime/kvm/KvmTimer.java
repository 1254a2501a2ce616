package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.KVM_PIT_FLAGS_HPET_LEGACY;

import lockstep.linux.abi.kvm_pit_channel_state;
import lockstep.linux.abi.kvm_pit_state2;
import lockstep.runtime.accelerator.IntervalTimer;
import lockstep.runtime.loop.Clocks;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The 8254 in the kernel (QEMU: vmstate "i8254" v3). The kernel counts load times in monotonic host time,
 * the stream in guest time; they are taken when the guest stops and given back when it goes on.
 */
final class KvmTimer implements IntervalTimer {
    /** The 8254's input clock in Hz: 14.31818 MHz divided by 12. */
    private static final long FREQUENCY = 1_193_182;

    private static final long SECOND = 1_000_000_000L;
    private static final int CHANNELS = 3;

    private final KvmVm vm;
    private final Clocks clocks;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment buffer = kvm_pit_state2.allocate(arena);

    /** One channel; names of the stream. */
    private static final class Channel {
        int count;
        int latchedCount;
        int countLatched;
        int statusLatched;
        int status;
        int readState;
        int writeState;
        int writeLatch;
        int mode;
        int rwMode;
        int bcd;
        int gate;
        long loadTime;
        long nextTransition;
    }

    private final Channel[] channels = {new Channel(), new Channel(), new Channel()};
    private int irqDisabled;
    private boolean current;
    private boolean pending;

    KvmTimer(KvmVm vm, Clocks clocks) {
        this.vm = vm;
        this.clocks = clocks;
    }

    @Override
    public void reset() throws KvmException {
        irqDisabled = 0;
        long now = clocks.virtual();
        for (int i = 0; i < CHANNELS; i++) {
            Channel c = channels[i];
            c.count = 0x10000;
            c.latchedCount = 0;
            c.countLatched = 0;
            c.statusLatched = 0;
            c.status = 0;
            c.readState = 0;
            c.writeState = 0;
            c.writeLatch = 0;
            c.mode = 3;
            c.rwMode = 0;
            c.bcd = 0;
            c.gate = i == 2 ? 0 : 1;
            c.loadTime = now;
        }
        store();
        current = true;
        pending = false;
    }

    private MemorySegment channel(int i) {
        return kvm_pit_state2.channels(buffer, i);
    }

    /** Monotonic host time minus guest time, now. */
    private long offset() {
        return System.nanoTime() - clocks.virtual();
    }

    private void fetch() throws KvmException {
        vm.readTimer(buffer);
        long offset = offset();
        irqDisabled = (kvm_pit_state2.flags(buffer) & KVM_PIT_FLAGS_HPET_LEGACY()) != 0 ? 1 : 0;
        for (int i = 0; i < CHANNELS; i++) {
            MemorySegment k = channel(i);
            Channel c = channels[i];
            c.count = kvm_pit_channel_state.count(k);
            c.latchedCount = kvm_pit_channel_state.latched_count(k) & 0xffff;
            c.countLatched = kvm_pit_channel_state.count_latched(k) & 0xff;
            c.statusLatched = kvm_pit_channel_state.status_latched(k) & 0xff;
            c.status = kvm_pit_channel_state.status(k) & 0xff;
            c.readState = kvm_pit_channel_state.read_state(k) & 0xff;
            c.writeState = kvm_pit_channel_state.write_state(k) & 0xff;
            c.writeLatch = kvm_pit_channel_state.write_latch(k) & 0xff;
            c.rwMode = kvm_pit_channel_state.rw_mode(k) & 0xff;
            c.mode = kvm_pit_channel_state.mode(k) & 0xff;
            c.bcd = kvm_pit_channel_state.bcd(k) & 0xff;
            c.gate = kvm_pit_channel_state.gate(k) & 0xff;
            // The kernel keeps the time of a reset for channel 0, and guest time stands still a
            // little before this is
            // read: it may seem to be before guest time began, which QEMU's timer never gets over.
            c.loadTime = Math.max(0, kvm_pit_channel_state.count_load_time(k) - offset);
        }
        channels[0].nextTransition = nextTransition(channels[0], channels[0].loadTime);
    }

    private void store() throws KvmException {
        buffer.fill((byte) 0);
        long offset = offset();
        kvm_pit_state2.flags(buffer, irqDisabled != 0 ? KVM_PIT_FLAGS_HPET_LEGACY() : 0);
        for (int i = 0; i < CHANNELS; i++) {
            MemorySegment k = channel(i);
            Channel c = channels[i];
            kvm_pit_channel_state.count(k, c.count);
            kvm_pit_channel_state.latched_count(k, (short) c.latchedCount);
            kvm_pit_channel_state.count_latched(k, (byte) c.countLatched);
            kvm_pit_channel_state.status_latched(k, (byte) c.statusLatched);
            kvm_pit_channel_state.status(k, (byte) c.status);
            kvm_pit_channel_state.read_state(k, (byte) c.readState);
            kvm_pit_channel_state.write_state(k, (byte) c.writeState);
            kvm_pit_channel_state.write_latch(k, (byte) c.writeLatch);
            kvm_pit_channel_state.rw_mode(k, (byte) c.rwMode);
            kvm_pit_channel_state.mode(k, (byte) c.mode);
            kvm_pit_channel_state.bcd(k, (byte) c.bcd);
            kvm_pit_channel_state.gate(k, (byte) c.gate);
            kvm_pit_channel_state.count_load_time(k, c.loadTime + offset);
        }
        vm.writeTimer(buffer);
    }

    @Override
    public void paused() throws KvmException {
        fetch();
        current = true;
    }

    @Override
    public void resuming() throws KvmException {
        if (pending) {
            store();
            pending = false;
        }
        current = false;
    }

    // ---- pins

    @Override
    public boolean output(int n) {
        refresh();
        Channel c = channels[n];
        long ticks = ticks(clocks.virtual() - c.loadTime);
        long count = Math.max(1, c.count);
        return switch (effectiveMode(c)) {
            case 0 -> ticks >= count;
            case 1 -> ticks < count;
            case 2 -> ticks % count == 0 && ticks != 0;
            case 3 -> ticks % count < (count + 1) >> 1;
            default -> ticks == count;
        };
    }

    @Override
    public boolean gate(int n) {
        refresh();
        return channels[n].gate != 0;
    }

    @Override
    public void gate(int n, boolean level) {
        refresh();
        Channel c = channels[n];
        boolean rising = level && c.gate == 0;
        if (rising && c.mode != 0 && c.mode != 4) {
            // Datasheet, "Gate Pin Operations": a rising edge starts counting anew.
            c.loadTime = clocks.virtual();
        }
        if (c.gate != (level ? 1 : 0)) {
            c.gate = level ? 1 : 0;
            changed();
        }
    }

    @Override
    public void replaced(boolean on) {
        refresh();
        if (irqDisabled != (on ? 1 : 0)) {
            irqDisabled = on ? 1 : 0;
            changed();
        }
    }

    private void changed() {
        if (current) {
            pending = true;
            return;
        }
        try {
            store();
        } catch (KvmException e) {
            throw new IllegalStateException(e.getMessage(), e);
        }
    }

    private void refresh() {
        if (current) {
            return;
        }
        try {
            fetch();
        } catch (KvmException e) {
            throw new IllegalStateException(e.getMessage(), e);
        }
    }

    /** Modes 6 and 7 are other codes for 2 and 3. */
    private static int effectiveMode(Channel c) {
        return c.mode > 5 ? c.mode & 3 : c.mode;
    }

    private static long ticks(long nanoseconds) {
        long n = Math.max(0, nanoseconds);
        return n / SECOND * FREQUENCY + n % SECOND * FREQUENCY / SECOND;
    }

    private static long nanoseconds(long ticks) {
        return ticks / FREQUENCY * SECOND + ticks % FREQUENCY * SECOND / FREQUENCY;
    }

    /** When the output changes next after {@code now}, in guest time; -1 for never. */
    private static long nextTransition(Channel c, long now) {
        long count = Math.max(1, Integer.toUnsignedLong(c.count));
        long elapsed = ticks(now - c.loadTime);
        long base = elapsed / count * count;
        long at;
        switch (effectiveMode(c)) {
            case 0, 1 -> at = elapsed < count ? count : -1;
            case 2 -> at = elapsed == base && elapsed != 0 ? base + count : base + count + 1;
            case 3 -> {
                long half = (count + 1) >> 1;
                at = elapsed - base < half ? base + half : base + count;
            }
            default -> at = elapsed < count ? count : elapsed == count ? count + 1 : -1;
        }
        if (at < 0) {
            return -1;
        }
        long time = c.loadTime + nanoseconds(at);
        return time <= now ? now + 1 : time;
    }

    // ---- section

    @Override
    public String name() {
        return "i8254";
    }

    @Override
    public boolean undoable() {
        return false;
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public int minimumVersion() {
        return 2;
    }

    @Override
    public void beforeSave() throws StateException {
        if (!current) {
            try {
                fetch();
            } catch (KvmException e) {
                throw new StateException(e.getMessage(), e);
            }
        }
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        if (c.version() >= 3) {
            irqDisabled = c.u32("channels[0].irq_disabled", irqDisabled);
        }
        c.structs("channels", "pit channel", 2, CHANNELS, (s, i) -> channel(s, channels[i]));
        channels[0].nextTransition =
                c.i64("channels[0].next_transition_time", channels[0].nextTransition);
    }

    private static void channel(StateCodec s, Channel c) throws StateException {
        c.count = s.i32("count", c.count);
        c.latchedCount = s.u16("latched_count", c.latchedCount);
        c.countLatched = s.u8("count_latched", c.countLatched);
        c.statusLatched = s.u8("status_latched", c.statusLatched);
        c.status = s.u8("status", c.status);
        c.readState = s.u8("read_state", c.readState);
        c.writeState = s.u8("write_state", c.writeState);
        c.writeLatch = s.u8("write_latch", c.writeLatch);
        c.rwMode = s.u8("rw_mode", c.rwMode);
        c.mode = s.u8("mode", c.mode);
        c.bcd = s.u8("bcd", c.bcd);
        c.gate = s.u8("gate", c.gate);
        c.loadTime = s.i64("count_load_time", c.loadTime);
        c.nextTransition = s.i64("next_transition_time", c.nextTransition);
    }

    @Override
    public void afterLoad(int version) throws StateException {
        for (Channel c : channels) {
            if (c.count < 0 || c.count > 0x10000 || c.mode > 7) {
                throw new StateException("bad count or mode of a timer channel");
            }
        }
        current = true;
        pending = true;
    }

    void close() {
        arena.close();
    }
}
