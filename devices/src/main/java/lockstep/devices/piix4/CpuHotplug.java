package lockstep.devices.piix4;

import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;

/**
 * The registers of processor hot plug: a bitmap of those that are there, until the guest writes 0 to its first byte; from
 * then on those of {@code docs/specs/acpi_cpu_hotplug.rst}. No processor comes or goes here, and our ACPI tables use
 * neither; but a guest that began on QEMU has QEMU's tables, and reads and keeps its state here.
 *
 * <p>QEMU: subsection "piix4_pm/cpuhp" v1. Processors are numbered as their APICs are.
 */
final class CpuHotplug implements IoHandler {
    /** Bytes of the bitmap. */
    static final int LENGTH = 0x20;

    private static final int FLAGS = 4;
    private static final int COMMAND = 5;
    private static final int DATA = 8;
    private static final int MODERN_LENGTH = 12;

    private static final int NEXT_WITH_EVENT = 0;
    private static final int OST_EVENT = 1;
    private static final int OST_STATUS = 2;
    private static final int ARCHITECTURE_ID = 3;
    private static final int LAST_COMMAND = ARCHITECTURE_ID;

    private static final int ENABLED = 1;
    private static final int INSERTING = 2;
    private static final int REMOVING = 4;

    private boolean modern;
    private int selected;
    private int command;
    private final boolean[] inserting;
    private final boolean[] removing;
    private final int[] ostEvent;
    private final int[] ostStatus;

    /** With so many processors, all of them there. */
    CpuHotplug(int cpus) {
        inserting = new boolean[cpus];
        removing = new boolean[cpus];
        ostEvent = new int[cpus];
        ostStatus = new int[cpus];
    }

    private boolean selects() {
        return Integer.compareUnsigned(selected, inserting.length) < 0;
    }

    @Override
    public long read(long offset, int size) {
        if (!modern) {
            long bits = 0;
            for (int i = 0; i < size; i++) {
                int here = Math.clamp(inserting.length - 8L * (offset + i), 0, 8);
                bits |= (1L << here) - 1 << 8 * i;
            }
            return bits;
        }
        if (offset >= MODERN_LENGTH || !selects()) {
            return 0;
        }
        if (offset == FLAGS) {
            return ENABLED
                    | (inserting[selected] ? INSERTING : 0)
                    | (removing[selected] ? REMOVING : 0);
        }
        boolean names = command == NEXT_WITH_EVENT || command == ARCHITECTURE_ID;
        return offset == DATA && names ? selected : 0;
    }

    @Override
    public void write(long offset, int size, long value) {
        if (!modern) {
            modern = offset == 0 && (value & 0xff) == 0;
            return;
        }
        if (offset == 0) {
            selected = (int) value;
        }
        if (!selects()) {
            return;
        }
        switch ((int) offset) {
            case FLAGS -> {
                inserting[selected] &= (value & INSERTING) == 0;
                removing[selected] &= (value & REMOVING) == 0;
            }
            case COMMAND -> {
                if (value <= LAST_COMMAND) {
                    command = (int) value;
                    if (command == NEXT_WITH_EVENT) {
                        selectNext();
                    }
                }
            }
            case DATA -> {
                if (command == OST_EVENT) {
                    ostEvent[selected] = (int) value;
                } else if (command == OST_STATUS) {
                    ostStatus[selected] = (int) value;
                }
            }
            default -> {}
        }
    }

    /** The selected one if something happened to it, or else the next such one, round and round. */
    private void selectNext() {
        for (int i = 0; i < inserting.length; i++) {
            int at = (selected + i) % inserting.length;
            if (inserting[at] || removing[at]) {
                selected = at;
                return;
            }
        }
    }

    /** The subsection: there for a guest that uses the newer registers. */
    void describe(StateCodec c) throws StateException {
        modern =
                c.subsection(
                        "piix4_pm/cpuhp",
                        1,
                        modern,
                        s -> s.struct("cpuhp_state", "CPU hotplug state", 1, this::describeState));
    }

    private void describeState(StateCodec c) throws StateException {
        selected = c.u32("selector", selected);
        command = c.u8("command", command);
        c.structs(
                "devs",
                "CPU hotplug device state",
                1,
                inserting.length,
                (s, i) -> {
                    inserting[i] = s.bool("is_inserting", inserting[i]);
                    removing[i] = s.bool("is_removing", removing[i]);
                    ostEvent[i] = s.u32("ost_event", ostEvent[i]);
                    ostStatus[i] = s.u32("ost_status", ostStatus[i]);
                });
    }
}
