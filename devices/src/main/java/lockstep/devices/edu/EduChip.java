package lockstep.devices.edu;

import lockstep.runtime.memory.GuestMemory;

/**
 * The card's registers. Knows no bus: what it needs is {@link Board}. Called under the machine lock.
 */
final class EduChip {
    /** What is around the chip. */
    interface Board {
        /** Something happened that the guest waits for. */
        void raise();

        /** The guest has seen everything. */
        void lower();

        /** Has {@link #computed} called soon. */
        void computeLater();

        /** Has {@link #copied} called when a copy would be done. */
        void copyLater();

        /** Whether the guest lets the card read and write memory. */
        boolean busMaster();
    }

    private static final int IDENTIFICATION = 0x00;
    private static final int LIVENESS = 0x04;
    private static final int FACTORIAL = 0x08;
    private static final int STATUS = 0x20;
    private static final int INTERRUPT_STATUS = 0x24;
    private static final int RAISE = 0x60;
    private static final int ACKNOWLEDGE = 0x64;
    private static final int SOURCE = 0x80;
    private static final int DESTINATION = 0x88;
    private static final int COUNT = 0x90;
    private static final int COMMAND = 0x98;

    private static final int IDENTITY = 0x010000ed;
    private static final int COMPUTING = 0x01;
    private static final int INTERRUPT_WHEN_COMPUTED = 0x80;
    private static final int COMPUTED = 0x001;
    private static final int COPIED = 0x100;

    private static final int RUN = 1;
    private static final int TO_GUEST = 2;
    private static final int INTERRUPT_WHEN_COPIED = 4;

    /** The first address of the card's buffer, as copies name it. */
    private static final long BUFFER = 0x40000;

    private static final int BUFFER_SIZE = 4096;

    // Configuration.
    private final long addressMask;

    // Wiring.
    private final Board board;
    private final GuestMemory memory;

    // Guest-visible state.
    private int liveness;
    private int factorial;
    private int status;
    private int interrupts;
    private long source;
    private long destination;
    private long count;
    private long command;
    private final byte[] buffer = new byte[BUFFER_SIZE];

    EduChip(Board board, GuestMemory memory, long addressMask) {
        this.board = board;
        this.memory = memory;
        this.addressMask = addressMask;
    }

    /** Registers below 0x80 have four bytes, the others four or eight. */
    private static boolean fits(int offset, int size) {
        return size == 4 || size == 8 && offset >= SOURCE;
    }

    long read(int offset, int size) {
        if (size < 4) {
            return 0;
        }
        if (!fits(offset, size)) {
            return -1;
        }
        return switch (offset) {
            case IDENTIFICATION -> IDENTITY;
            case LIVENESS -> liveness;
            case FACTORIAL -> factorial;
            case STATUS -> status;
            case INTERRUPT_STATUS -> interrupts;
            case SOURCE -> source;
            case DESTINATION -> destination;
            case COUNT -> count;
            case COMMAND -> command;
            default -> -1;
        };
    }

    void write(int offset, int size, long value) {
        if (!fits(offset, size)) {
            return;
        }
        boolean idle = (command & RUN) == 0;
        switch (offset) {
            case LIVENESS -> liveness = ~(int) value;
            case FACTORIAL -> {
                if ((status & COMPUTING) == 0) {
                    factorial = (int) value;
                    status |= COMPUTING;
                    board.computeLater();
                }
            }
            case STATUS -> status = status & COMPUTING | (int) value & INTERRUPT_WHEN_COMPUTED;
            case RAISE -> raise((int) value);
            case ACKNOWLEDGE -> {
                interrupts &= ~(int) value;
                if (interrupts == 0) {
                    board.lower();
                }
            }
            case SOURCE -> source = idle ? value : source;
            case DESTINATION -> destination = idle ? value : destination;
            case COUNT -> count = idle ? value : count;
            case COMMAND -> {
                if (idle && (value & RUN) != 0) {
                    command = value;
                    board.copyLater();
                }
            }
            default -> {}
        }
    }

    private void raise(int why) {
        interrupts |= why;
        if (interrupts != 0) {
            board.raise();
        }
    }

    /** The time for the factorial is over. */
    void computed() {
        int product = 1;
        // Of 34 numbers in a row enough are even for all 32 bits to be zero.
        for (int n = factorial; n != 0 && product != 0; n--) {
            product *= n;
        }
        factorial = product;
        status &= ~COMPUTING;
        if ((status & INTERRUPT_WHEN_COMPUTED) != 0) {
            raise(COMPUTED);
        }
    }

    /** The time for a copy is over. One that leaves the buffer moves nothing. */
    void copied() {
        boolean toGuest = (command & TO_GUEST) != 0;
        long at = (toGuest ? source : destination) - BUFFER;
        boolean inside = at >= 0 && at <= BUFFER_SIZE && count >= 0 && count <= BUFFER_SIZE - at;
        if (inside && board.busMaster()) {
            if (toGuest) {
                memory.write(destination & addressMask, buffer, (int) at, (int) count);
            } else {
                memory.read(source & addressMask, buffer, (int) at, (int) count);
            }
        }
        command &= ~RUN;
        if ((command & INTERRUPT_WHEN_COPIED) != 0) {
            raise(COPIED);
        }
    }
}
