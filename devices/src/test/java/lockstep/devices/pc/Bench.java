package lockstep.devices.pc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.block.monitor.BlockRoom;
import lockstep.runtime.spi.Room;
import lockstep.runtime.testmachine.TestMachine;
import lockstep.runtime.vmstate.Description;
import lockstep.runtime.vmstate.LoadingCodec;
import lockstep.runtime.vmstate.SavingCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateInput;
import lockstep.runtime.vmstate.StateOutput;
import lockstep.runtime.vmstate.StateSection;

import java.io.ByteArrayInputStream;
import java.util.Arrays;
import java.util.Objects;

/** A board on which one chip is looked at as software sees it: ports, memory, wires, and its section. */
public final class Bench implements AutoCloseable {
    /** Nanoseconds in a microsecond, a millisecond and a second. */
    public static final long US = 1_000;

    public static final long MS = 1_000_000;
    public static final long S = 1_000_000_000;

    private final TestMachine core = new TestMachine(16 << 20);

    /** A board that was just switched on, without drives. */
    public Bench() throws Exception {
        PcSectionsTest.board(core);
        quieten();
    }

    private Bench(Room drives) throws Exception {
        core.vmm().install(drives);
        PcSectionsTest.board(core);
        quieten();
    }

    /** Has the 8254 count once and not go on, or a test's days would be made of its ticks. */
    private void quieten() {
        out(0x43, 0x30);
        out(0x40, 0, 0);
    }

    /** A board with a floppy and a CD-ROM drive, both empty. */
    public static Bench withDrives() throws Exception {
        return new Bench(new BlockRoom());
    }

    /** Reads a byte from a port. */
    public int in(int port) {
        return (int) core.ports().read(port, 1) & 0xff;
    }

    /** Reads {@code size} bytes from a port. */
    public int in(int port, int size) {
        return (int) core.ports().read(port, size);
    }

    /** Writes bytes to a port, one after the other. */
    public void out(int port, int... bytes) {
        for (int b : bytes) {
            core.ports().write(port, 1, b);
        }
    }

    /** Writes {@code size} bytes to a port. */
    public void outSized(int port, int size, int value) {
        core.ports().write(port, size, value & 0xffff_ffffL);
    }

    /** Reads 32 bits of memory. */
    public int peek(long address) {
        return (int) core.memory().read(address, 4);
    }

    /** Writes 32 bits of memory. */
    public void poke(long address, int value) {
        core.memory().write(address, 4, value & 0xffff_ffffL);
    }

    /** Writes to a function's configuration space. */
    public void configure(int device, int function, int register, int size, int value) {
        outSized(0xcf8, 4, 1 << 31 | device << 11 | function << 8 | register & 0xfc);
        outSized(0xcfc + (register & 3), size, value);
    }

    /** Reads 32 bits of a function's configuration space. */
    public int config(int device, int function, int register) {
        outSized(0xcf8, 4, 1 << 31 | device << 11 | function << 8 | register);
        return in(0xcfc, 4);
    }

    /** What the board is built on. */
    TestMachine core() {
        return core;
    }

    /** Lets guest time pass. */
    public void advance(long nanos) {
        core.advance(nanos);
    }

    /** Whether interrupt input {@code n} is up. */
    public boolean irq(int n) {
        return core.wire(n);
    }

    /** How often interrupt input {@code n} went up since the board was switched on. */
    public int rises(int n) {
        return core.rises(n);
    }

    /** Whether the board asked its machine for that, and forgets that it did. */
    public boolean asked(String request) {
        return core.journal().take(request);
    }

    /** Presses the power button. */
    public void powerButton() {
        core.vmm().run().pressPowerButton();
    }

    /** System reset. */
    public void reset() {
        core.reset();
        quieten();
    }

    /** Takes the board apart. */
    @Override
    public void close() {
        core.close();
    }

    private StateSection section(String name, int instance) {
        return Objects.requireNonNull(core.state().find(name, instance), name);
    }

    /** Whether the section would be part of a stream. */
    public boolean travels(String name, int instance) {
        return section(name, instance).needed();
    }

    /** The content of the first section of that name. */
    public byte[] save(String name) throws StateException {
        return save(name, 0);
    }

    /** The content of a section. */
    public byte[] save(String name, int instance) throws StateException {
        StateSection section = section(name, instance);
        section.beforeSave();
        StateOutput out = new StateOutput(1 << 12);
        new SavingCodec(out, Description.none()).inPlace(section);
        return out.toByteArray();
    }

    /** Loads what {@link #save} gave, here or on another board. */
    public void load(String name, byte[] content) throws StateException {
        load(name, 0, content);
    }

    /** Loads what {@link #save} gave, here or on another board. */
    public void load(String name, int instance, byte[] content) throws StateException {
        StateSection section = section(name, instance);
        new LoadingCodec(new StateInput(new ByteArrayInputStream(content)))
                .content(section, section.version());
    }

    /** The same content with other bytes at {@code at}. */
    public static byte[] with(byte[] content, int at, int... bytes) {
        byte[] changed = content.clone();
        for (int i = 0; i < bytes.length; i++) {
            changed[at + i] = (byte) bytes[i];
        }
        return changed;
    }

    /** A section that is refused leaves the chip as it was. */
    public void refuses(String name, byte[] content) throws StateException {
        byte[] before = save(name);
        assertThrows(StateException.class, () -> load(name, content));
        assertArrayEquals(before, save(name), "what was refused left traces");
    }

    /**
     * Cuts the section short and spoils each of its bytes: it is refused, or {@code use} of the chip works;
     * whatever it was, the whole section can be loaded afterwards.
     */
    public void survivesDamage(String name, Runnable use) throws StateException {
        byte[] whole = save(name);
        for (int length = 0; length < whole.length; length++) {
            byte[] before = save(name);
            try {
                load(name, Arrays.copyOf(whole, length));
                // Where an optional part would begin, it is whole.
                load(name, whole);
            } catch (StateException e) {
                assertArrayEquals(before, save(name), "what was refused left traces");
            }
        }
        for (int at = 0; at < whole.length; at++) {
            for (int value : new int[] {0x00, 0x01, 0x7f, 0x80, 0xff}) {
                byte[] spoilt = with(whole, at, value);
                try {
                    load(name, spoilt);
                } catch (StateException e) {
                    // Refused, which is fine as well.
                }
                assertDoesNotThrow(use::run, "byte " + at + " is " + value);
            }
        }
        load(name, whole);
    }
}
