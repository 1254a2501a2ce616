package lockstep.runtime.qtest;

import lockstep.qmp.JsonBoolean;
import lockstep.qmp.NumberText;
import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.chardev.ChardevException;
import lockstep.runtime.chardev.ChardevFrontend;
import lockstep.runtime.loop.EpollLoop;
import lockstep.runtime.loop.Timer;
import lockstep.runtime.loop.VmClocks;
import lockstep.runtime.machine.Irq;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.BusMemory;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.RegionMap;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.BitSet;

/**
 * The server of the qtest protocol: one line of text a command, one line a reply, in order, and {@code IRQ} lines between
 * them. On the main loop, under the machine lock. A command that makes no sense is answered with {@code FAIL}, where QEMU
 * aborts.
 */
public final class QtestServer implements ChardevFrontend {
    /** Most bytes that one command reads or writes, and most of a line. */
    private static final int MOST = 1 << 28;

    private static final int INPUT_BUFFER = 64 << 10;
    private static final int IRQS = 256;
    private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
    private static final String UNNAMED = "unnamed-gpio-in";

    private final Vmm vmm;
    private final QtestLog log;
    private final Chardev.Attachment attachment;
    private final BitSet levels = new BitSet(IRQS);
    private byte[] line = new byte[256];
    private int length;
    private ObjectTree.@Nullable Node intercepted;
    private @Nullable Board board;

    /** What commands read and write. */
    private record Board(AddressSpace memory, AddressSpace ports, GuestMemory bytes) {
        static Board of(@Nullable Machine machine) {
            if (machine == null) {
                RegionMap nothing = RegionMap.memory(null);
                return new Board(nothing, RegionMap.ports(), new BusMemory(nothing));
            }
            return new Board(machine.memory(), machine.ports(), machine.dma());
        }
    }

    /** A command that cannot be done; the message is the reply. */
    private static final class Refusal extends Exception {
        private static final long serialVersionUID = 1L;

        Refusal(String reply) {
            super(reply, null, false, false);
        }
    }

    /**
     * Serves a character device.
     *
     * @throws ChardevException it has a user already
     */
    public QtestServer(Vmm vmm, Chardev device, QtestLog log) throws ChardevException {
        this.vmm = vmm;
        this.log = log;
        attachment = device.attach(this, vmm.mainLoop());
        vmm.publish(QtestServer.class, this);
    }

    /** Lets go of the character device. */
    void close() {
        attachment.close();
        vmm.withdraw(QtestServer.class);
    }

    // ---- lines

    @Override
    public int canReceive() {
        return INPUT_BUFFER;
    }

    @Override
    public void opened() {
        levels.clear();
        length = 0;
        log.opened();
    }

    @Override
    public void closed() {
        log.closed();
    }

    @Override
    public void receive(ByteBuffer data) {
        while (data.hasRemaining()) {
            byte b = data.get();
            if (b == '\n') {
                command(new String(line, 0, length, StandardCharsets.ISO_8859_1).stripTrailing());
                length = 0;
            } else if (length < MOST) {
                if (length == line.length) {
                    line = Arrays.copyOf(line, length * 2);
                }
                line[length++] = b;
            }
        }
    }

    private void command(String text) {
        if (text.isEmpty()) {
            return;
        }
        log.received(text);
        String reply;
        try {
            reply = answer(text.split(" ", -1));
        } catch (Refusal e) {
            reply = String.valueOf(e.getMessage());
        } catch (RuntimeException e) {
            reply = "FAIL " + e;
        }
        send(reply);
    }

    private void send(String text) {
        log.sent(text);
        try {
            attachment.write(ByteBuffer.wrap((text + '\n').getBytes(StandardCharsets.ISO_8859_1)));
        } catch (IOException e) {
            // The peer left; it does not want an answer any more.
            log.closed();
        }
    }

    // ---- commands

    private String answer(String[] w) throws Refusal {
        return switch (w[0]) {
            case "inb" -> in(w, 1);
            case "inw" -> in(w, 2);
            case "inl" -> in(w, 4);
            case "outb" -> out(w, 1);
            case "outw" -> out(w, 2);
            case "outl" -> out(w, 4);
            case "readb" -> load(w, 1);
            case "readw" -> load(w, 2);
            case "readl" -> load(w, 4);
            case "readq" -> load(w, 8);
            case "writeb" -> store(w, 1);
            case "writew" -> store(w, 2);
            case "writel" -> store(w, 4);
            case "writeq" -> store(w, 8);
            case "read" -> read(w);
            case "write" -> write(w);
            case "b64read" -> "OK " + Base64.getEncoder().encodeToString(bytes(w));
            case "b64write" -> writeBase64(w);
            case "memset" -> fill(w);
            case "endianness" -> "OK little";
            case "irq_intercept_in" -> interceptInputs(w);
            case "irq_intercept_out" -> interceptOutputs(w);
            case "set_irq_in" -> setInput(w);
            case "module_load" -> "FAIL";
            default -> clock(w);
        };
    }

    private static String word(String[] w, int n) throws Refusal {
        if (n >= w.length) {
            throw new Refusal("FAIL '" + w[0] + "' needs more arguments");
        }
        return w[n];
    }

    private static long number(String[] w, int n) throws Refusal {
        NumberText parsed = NumberText.wrapping(word(w, n));
        if (parsed.toOptional().isEmpty()) {
            throw new Refusal("FAIL '" + w[n] + "' is no number");
        }
        return parsed.value();
    }

    private static int size(String[] w, int n) throws Refusal {
        long size = number(w, n);
        if (size < 0 || size > MOST) {
            throw new Refusal("FAIL a size of " + w[n] + " is too large");
        }
        return (int) size;
    }

    private static long port(String[] w) throws Refusal {
        long port = number(w, 1);
        if (port < 0 || port > 0xffff) {
            throw new Refusal("FAIL " + w[1] + " is no port");
        }
        return port;
    }

    private static String hex(long value, int digits) {
        String text = Long.toHexString(value);
        return "OK 0x" + "0".repeat(Math.max(0, digits - text.length())) + text;
    }

    /** The machine's; of nothing with {@code -machine none} or as long as there is no machine yet. */
    private Board board() {
        Board known = board;
        if (known == null) {
            known = Board.of(vmm.machine());
            if (!vmm.starting()) {
                board = known;
            }
        }
        return known;
    }

    private String in(String[] w, int size) throws Refusal {
        return hex(board().ports().read(port(w), size), 4);
    }

    private String out(String[] w, int size) throws Refusal {
        board().ports().write(port(w), size, number(w, 2) & -1L >>> 64 - 8 * size);
        return "OK";
    }

    private String load(String[] w, int size) throws Refusal {
        return hex(board().memory().read(number(w, 1), size), 16);
    }

    private String store(String[] w, int size) throws Refusal {
        board().memory().write(number(w, 1), size, number(w, 2) & -1L >>> 64 - 8 * size);
        return "OK";
    }

    /** What a command with address and size reads. */
    private byte[] bytes(String[] w) throws Refusal {
        long address = number(w, 1);
        byte[] data = new byte[size(w, 2)];
        if (data.length == 0) {
            throw new Refusal("FAIL nothing to read");
        }
        board().bytes().read(address, data, 0, data.length);
        return data;
    }

    private String read(String[] w) throws Refusal {
        byte[] data = bytes(w);
        byte[] text = new byte[data.length * 2];
        for (int i = 0; i < data.length; i++) {
            text[2 * i] = HEX[data[i] >>> 4 & 0xf];
            text[2 * i + 1] = HEX[data[i] & 0xf];
        }
        return "OK 0x" + new String(text, StandardCharsets.US_ASCII);
    }

    private String write(String[] w) throws Refusal {
        long address = number(w, 1);
        byte[] data = new byte[size(w, 2)];
        String text = word(w, 3);
        if (text.length() < 3) {
            return "ERR invalid argument size";
        }
        for (int i = 0; i < data.length && 2 * i + 3 < text.length(); i++) {
            int high = Character.digit(text.charAt(2 * i + 2), 16);
            int low = Character.digit(text.charAt(2 * i + 3), 16);
            data[i] = (byte) (Math.max(high, 0) << 4 | Math.max(low, 0));
        }
        board().bytes().write(address, data, 0, data.length);
        return "OK";
    }

    private String writeBase64(String[] w) throws Refusal {
        long address = number(w, 1);
        int size = size(w, 2);
        byte[] data;
        try {
            data = Base64.getDecoder().decode(word(w, 3));
        } catch (IllegalArgumentException e) {
            return "ERR invalid base64 data";
        }
        if (data.length != size) {
            log.note(
                    "b64write: data length mismatch (told "
                            + size
                            + ", found "
                            + data.length
                            + ")");
        }
        board().bytes().write(address, data, 0, Math.min(size, data.length));
        return "OK";
    }

    private String fill(String[] w) throws Refusal {
        long address = number(w, 1);
        byte[] data = new byte[size(w, 2)];
        Arrays.fill(data, (byte) number(w, 3));
        board().bytes().write(address, data, 0, data.length);
        return "OK";
    }

    // ---- interrupts

    private ObjectTree.Node device(String[] w) throws Refusal {
        ObjectTree.Node node = vmm.objects().find(word(w, 1));
        if (node == null) {
            throw new Refusal("FAIL Unknown device");
        }
        return node;
    }

    private static boolean isIoapic(ObjectTree.Node node) {
        return node.type().endsWith("ioapic");
    }

    private boolean tapped(ObjectTree.Node node) throws Refusal {
        ObjectTree.Node before = intercepted;
        if (before != null && !before.path().equals(node.path())) {
            throw new Refusal("FAIL IRQ intercept already enabled");
        }
        return before != null;
    }

    private String interceptInputs(String[] w) throws Refusal {
        ObjectTree.Node node = device(w);
        if (tapped(node)) {
            return "OK";
        }
        Accelerator accelerator = vmm.accelerator();
        if (isIoapic(node)
                && (accelerator == null || !accelerator.interrupts().tap(this::driven))) {
            return "FAIL the interrupt controller is in the kernel";
        }
        intercepted = node;
        return "OK";
    }

    private String interceptOutputs(String[] w) throws Refusal {
        return tapped(device(w)) ? "OK" : "FAIL No intercepts installed";
    }

    private void driven(int input, boolean level) {
        if (levels.get(input) != level) {
            levels.set(input, level);
            send((level ? "IRQ raise " : "IRQ lower ") + input);
        }
    }

    private String setInput(String[] w) throws Refusal {
        ObjectTree.Node node = device(w);
        String name = word(w, 2);
        long n = number(w, 3);
        boolean level = number(w, 4) != 0;
        Accelerator accelerator = vmm.accelerator();
        Irq irq = null;
        if (accelerator != null && name.equals(UNNAMED) && n >= 0) {
            if (isIoapic(node) && n < 24) {
                irq = accelerator.interrupts().ioapic((int) n);
            } else if (node.type().endsWith("i8259") && n < 8) {
                irq = accelerator.interrupts().pic((int) n + (isFirst(node) ? 0 : 8));
            }
        }
        if (irq == null) {
            return "FAIL " + w[1] + " has no input " + name + " " + n;
        }
        irq.set(level);
        return "OK";
    }

    private static boolean isFirst(ObjectTree.Node pic) {
        return pic.properties().stream()
                .anyMatch(p -> p.name().equals("master") && isTrue(p.reader().get()));
    }

    private static boolean isTrue(Object value) {
        return value.equals(true) || value.equals(new JsonBoolean(true));
    }

    // ---- guest time

    private String clock(String[] w) throws Refusal {
        boolean step = w[0].equals("clock_step");
        if (!step && !w[0].equals("clock_set")
                || !(vmm.clocks() instanceof VmClocks clocks)
                || !clocks.stepped()
                || !(vmm.mainLoop() instanceof EpollLoop loop)) {
            return "FAIL Unknown command '" + w[0] + "'";
        }
        long before = clocks.virtual();
        long target;
        if (!step) {
            target = number(w, 1);
        } else if (w.length > 1) {
            target = before + number(w, 1);
        } else {
            long next = loop.nextVirtual();
            if (next == Timer.NEVER) {
                return "FAIL cannot advance clock to the next deadline because there is no pending"
                        + " deadline";
            }
            target = Math.max(before, next);
        }
        loop.advance(target);
        long now = clocks.virtual();
        if (step) {
            boolean moved = now != before || target == before;
            return moved ? "OK " + now : "FAIL could not advance time";
        }
        return (now == target ? "OK " : "FAIL ") + now;
    }
}
