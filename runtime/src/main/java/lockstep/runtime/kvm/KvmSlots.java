package lockstep.runtime.kvm;

import static lockstep.linux.abi.LinuxAbi.*;

import lockstep.linux.abi.kvm_dirty_log;
import lockstep.linux.abi.kvm_userspace_memory_region;
import lockstep.runtime.memory.AnonymousRam;
import lockstep.runtime.memory.GuestMemoryException;
import lockstep.runtime.memory.MemoryAccelerator;
import lockstep.runtime.memory.RamBlock;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Guest RAM in KVM's memory slots, and the kernel's log of guest writes. Under the machine lock. */
final class KvmSlots implements MemoryAccelerator, AutoCloseable {
    private record Slot(int number, Piece piece) {}

    private final KvmVm vm;
    private final RunGate gate;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment region = kvm_userspace_memory_region.allocate(arena);
    private final MemorySegment request = kvm_dirty_log.allocate(arena);
    private Arena bitmapArena = Arena.ofShared();
    private MemorySegment bitmap = MemorySegment.NULL;

    private final List<Slot> slots = new ArrayList<>();
    private final BitSet numbers = new BitSet();
    private final int maximum;
    private boolean logging;

    KvmSlots(KvmVm vm, RunGate gate) {
        this.vm = vm;
        this.gate = gate;
        int n = vm.kvm().extension(KVM_CAP_NR_MEMSLOTS());
        maximum = n > 0 ? n : 32;
    }

    @Override
    public void map(List<Piece> pieces) {
        Set<Piece> wanted = new HashSet<>(pieces);
        List<Slot> gone = new ArrayList<>();
        for (Slot s : slots) {
            if (!wanted.remove(s.piece)) {
                gone.add(s);
            }
        }
        if (gone.isEmpty()) {
            add(pieces, wanted);
            return;
        }
        gate.close();
        try {
            remove(gone);
            add(pieces, wanted);
        } finally {
            gate.open();
        }
    }

    private void remove(List<Slot> gone) {
        for (Slot s : gone) {
            sync(s);
            set(s.number, s.piece, 0, 0);
            slots.remove(s);
            numbers.clear(s.number);
        }
    }

    private void add(List<Piece> pieces, Set<Piece> wanted) {
        for (Piece p : pieces) {
            if (wanted.contains(p)) {
                int number = numbers.nextClearBit(0);
                if (number >= maximum) {
                    throw new GuestMemoryException(
                            "the guest's memory map needs more than " + maximum + " KVM slots");
                }
                numbers.set(number);
                slots.add(new Slot(number, p));
                set(number, p, flags(p), p.length());
            }
        }
    }

    private int flags(Piece p) {
        if (p.readOnly()) {
            return (int) KVM_MEM_READONLY();
        }
        return logging ? (int) KVM_MEM_LOG_DIRTY_PAGES() : 0;
    }

    private void set(int number, Piece p, int flags, long length) {
        kvm_userspace_memory_region.slot(region, number);
        kvm_userspace_memory_region.flags(region, flags);
        kvm_userspace_memory_region.guest_phys_addr(region, p.address());
        kvm_userspace_memory_region.memory_size(region, length);
        kvm_userspace_memory_region.userspace_addr(
                region, p.block().memory().address() + p.offset());
        try {
            vm.call(KVM_SET_USER_MEMORY_REGION(), region, "KVM_SET_USER_MEMORY_REGION");
        } catch (KvmException e) {
            throw new GuestMemoryException(
                    e.getMessage()
                            + " for "
                            + p.block().name()
                            + ", slot=%d, start=0x%x, size=0x%x"
                                    .formatted(number, p.address(), length));
        }
    }

    @Override
    public void logWrites(boolean on) {
        if (logging == on) {
            return;
        }
        logging = on;
        for (Slot s : slots) {
            if (!s.piece.readOnly()) {
                set(s.number, s.piece, flags(s.piece), s.piece.length());
            }
        }
    }

    @Override
    public void syncLog(AnonymousRam block) {
        for (Slot s : slots) {
            if (s.piece.block() == block) {
                sync(s);
            }
        }
    }

    @SuppressWarnings(
            "MustBeClosedChecker") // closed with the slots, or when a larger one is needed
    private void sync(Slot s) {
        Piece p = s.piece;
        if (!logging || p.readOnly()) {
            return;
        }
        long pages = p.length() / RamBlock.PAGE;
        long bytes = (pages + 63) / 64 * 8;
        if (bitmap.byteSize() < bytes) {
            bitmapArena.close();
            bitmapArena = Arena.ofShared();
            bitmap = bitmapArena.allocate(bytes, 8);
        }
        kvm_dirty_log.slot(request, s.number);
        kvm_dirty_log.dirty_bitmap(request, bitmap);
        try {
            vm.call(KVM_GET_DIRTY_LOG(), request, "KVM_GET_DIRTY_LOG");
        } catch (KvmException e) {
            // Nothing is known of these pages any more: all count as changed.
            p.block().markDirty(p.offset(), p.length());
            return;
        }
        p.block().mergeDirty(bitmap, p.offset() / RamBlock.PAGE, pages);
    }

    @Override
    public void close() {
        for (Slot s : slots) {
            set(s.number, s.piece, 0, 0);
        }
        slots.clear();
        arena.close();
        bitmapArena.close();
    }
}
