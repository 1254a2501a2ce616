package lockstep.devices.acpi;

import lockstep.devices.board.AcpiTerms;
import lockstep.devices.fwcfg.FwCfg;
import lockstep.devices.hpet.Hpet;
import lockstep.devices.piix4.PowerManagement;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.function.IntPredicate;

/** Builds the tables and offers them to firmware. QEMU: vmstate "acpi_build" v1. */
public final class AcpiTables implements StateSection {
    /**
     * The sleeping states that the guest is told of.
     *
     * @param s3 whether there is suspend to RAM
     * @param s4 the sleep type of suspend to disk, or -1 if there is none
     */
    public record Sleep(boolean s3, int s4) {}

    /**
     * What the tables depend on.
     *
     * @param cpus number of vCPUs
     * @param below4G bytes of RAM below 4 GiB, where the PCI window begins
     * @param terms what devices say of themselves
     * @param hpetBlock what the HPET says of itself, or 0 without one
     * @param sleep the sleeping states
     * @param ejectable whether a PCI slot is empty, or what is in it may be taken out
     */
    public record Board(
            int cpus,
            long below4G,
            AcpiTerms terms,
            int hpetBlock,
            Sleep sleep,
            IntPredicate ejectable) {}

    private static final String TABLES = "etc/acpi/tables";
    private static final String RSDP = "etc/acpi/rsdp";
    private static final String LOADER = "etc/table-loader";

    private static final int TABLES_SIZE = 0x2_0000;
    private static final int TABLES_MAX = 0x20_0000;
    private static final int LOADER_SIZE = 0x1000;
    private static final int LOADER_MAX = 0x1_0000;
    private static final int HEADER = 36;
    private static final int RSDP_SIZE = 20;
    private static final int FACS_SIZE = 64;

    private static final String OEM_ID = "LOCKST";
    private static final String OEM_TABLE_ID = "LOCKSTPC";

    /** Where PIIX4's registers lie once firmware has set the PM base to 0x600. */
    private static final int PM_BASE = 0x600;

    private static final int LOADER_ALLOCATE = 1;
    private static final int LOADER_POINTER = 2;
    private static final int LOADER_CHECKSUM = 3;
    private static final int ZONE_HIGH = 1;
    private static final int ZONE_FSEG = 2;

    private final ByteArrayOutputStream tables = new ByteArrayOutputStream();
    private final ByteArrayOutputStream loader = new ByteArrayOutputStream();
    private boolean patched;

    /** Builds the tables of {@code board} and adds them to {@code fwCfg}; the section comes last. */
    public AcpiTables(DeviceScope scope, FwCfg fwCfg, Board board) {
        byte[] rsdp = build(board);
        offer(scope, fwCfg, TABLES, tables.toByteArray(), TABLES_SIZE, TABLES_MAX, "table_mr_size");
        offer(
                scope,
                fwCfg,
                LOADER,
                loader.toByteArray(),
                LOADER_SIZE,
                LOADER_MAX,
                "linker_mr_size");
        offer(scope, fwCfg, RSDP, rsdp, RSDP_SIZE, RamBlock.PAGE, "rsdp_mr_size");
        scope.onReset(() -> patched = false);
        scope.section(this);
    }

    private void offer(
            DeviceScope scope,
            FwCfg fwCfg,
            String name,
            byte[] content,
            int size,
            int max,
            String stateField) {
        long pages = size + RamBlock.PAGE - 1 & -RamBlock.PAGE;
        RamBlock block = scope.block("/rom@" + name, pages, max);
        MemorySegment.copy(
                content,
                0,
                block.memory(),
                ValueLayout.JAVA_BYTE,
                0,
                Math.min(content.length, size));
        fwCfg.file(name, block, size, stateField, () -> patched = true);
    }

    private byte[] build(Board board) {
        allocate(RSDP, 16, ZONE_FSEG);
        allocate(TABLES, 64, ZONE_HIGH);

        byte[] facs = new byte[FACS_SIZE];
        ByteBuffer f = little(facs);
        f.put("FACS".getBytes(StandardCharsets.US_ASCII)).putInt(FACS_SIZE);
        tables.writeBytes(facs);

        int dsdt = add("DSDT", 1, Dsdt.terms(board));
        int fadt = add("FACP", 1, fadt());
        pointer(TABLES, fadt + 36, TABLES, 0);
        pointer(TABLES, fadt + 40, TABLES, dsdt);
        checksum(TABLES, fadt + 9, fadt, 116);
        int[] listed = {fadt, addSummed("APIC", 1, madt(board)), -1, addSummed("WAET", 1, waet())};
        if (board.hpetBlock() != 0) {
            listed[2] = addSummed("HPET", 1, hpet(board.hpetBlock()));
        }
        int rsdt = rsdt(listed);

        byte[] rsdp = new byte[RSDP_SIZE];
        ByteBuffer r = little(rsdp);
        r.put("RSD PTR ".getBytes(StandardCharsets.US_ASCII)).put((byte) 0);
        r.put(OEM_ID.getBytes(StandardCharsets.US_ASCII)).put((byte) 0).putInt(rsdt);
        pointerEntry(RSDP, 16, TABLES);
        checksum(RSDP, 8, 0, RSDP_SIZE);
        return rsdp;
    }

    private static ByteBuffer little(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Appends a table without checksum; gives its offset. */
    private int add(String signature, int revision, byte[] body) {
        int at = tables.size();
        ByteBuffer h = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
        h.put(signature.getBytes(StandardCharsets.US_ASCII));
        h.putInt(HEADER + body.length).put((byte) revision).put((byte) 0);
        h.put(OEM_ID.getBytes(StandardCharsets.US_ASCII));
        h.put(OEM_TABLE_ID.getBytes(StandardCharsets.US_ASCII)).putInt(1);
        h.put("LKST".getBytes(StandardCharsets.US_ASCII)).putInt(1);
        tables.writeBytes(h.array());
        tables.writeBytes(body);
        if (signature.equals("DSDT")) {
            checksum(TABLES, at + 9, at, HEADER + body.length);
        }
        return at;
    }

    private int addSummed(String signature, int revision, byte[] body) {
        int at = add(signature, revision, body);
        checksum(TABLES, at + 9, at, HEADER + body.length);
        return at;
    }

    private int rsdt(int[] listed) {
        int count = 0;
        ByteBuffer body = ByteBuffer.allocate(4 * listed.length).order(ByteOrder.LITTLE_ENDIAN);
        for (int at : listed) {
            if (at >= 0) {
                body.putInt(at);
                count++;
            }
        }
        byte[] entries = new byte[4 * count];
        body.flip().get(entries);
        int at = add("RSDT", 1, entries);
        for (int i = 0; i < count; i++) {
            pointerEntry(TABLES, at + HEADER + 4 * i, TABLES);
        }
        checksum(TABLES, at + 9, at, HEADER + entries.length);
        return at;
    }

    /** ACPI 1.0b section 5.2.5, from FIRMWARE_CTRL on. */
    private static byte[] fadt() {
        byte[] body = new byte[116 - HEADER];
        ByteBuffer b = little(body);
        b.putInt(0).putInt(0).put((byte) 1).put((byte) 0).putShort((short) PowerManagement.SCI);
        // No SMI command: ACPI mode is on from the start.
        b.putInt(0).put((byte) 0).put((byte) 0).put((byte) 0).put((byte) 0);
        b.putInt(PM_BASE).putInt(0).putInt(PM_BASE + 4).putInt(0).putInt(0).putInt(PM_BASE + 8);
        b.putInt(PowerManagement.GPE_BASE).putInt(0);
        b.put((byte) 4).put((byte) 2).put((byte) 0).put((byte) 4);
        b.put((byte) PowerManagement.GPE_LENGTH).put((byte) 0).put((byte) 0).put((byte) 0);
        // C2 and C3 latencies that say there is no such state.
        b.putShort((short) 0x0fff).putShort((short) 0x0fff);
        b.putShort((short) 0).putShort((short) 0).put((byte) 0).put((byte) 0);
        b.put((byte) 0).put((byte) 0).put((byte) 0x32).put((byte) 0).put((byte) 0).put((byte) 0);
        // WBINVD, C1, sleep button by method, RTC wakes S4, 32-bit timer not: the flags of section
        // 5.2.5.
        b.putInt(0x0000_80a5);
        return body;
    }

    /** ACPI 6.5 section 5.2.12. */
    private static byte[] madt(Board board) {
        ByteBuffer b = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);
        b.putInt(0xfee0_0000).putInt(1);
        for (int i = 0; i < board.cpus(); i++) {
            b.put((byte) 0).put((byte) 8).put((byte) i).put((byte) i).putInt(1);
        }
        b.put((byte) 1).put((byte) 12).put((byte) 0).put((byte) 0).putInt(0xfec0_0000).putInt(0);
        // The interval timer's interrupt 0 is wired to input 2.
        sourceOverride(b, 0, 2, 0);
        for (int irq : new int[] {5, 9, 10, 11}) {
            // Active high, level: what PIRQ and SCI drive.
            sourceOverride(b, irq, irq, 0x0d);
        }
        b.put((byte) 4).put((byte) 6).put((byte) 0xff).putShort((short) 0).put((byte) 1);
        byte[] body = new byte[b.position()];
        b.flip().get(body);
        return body;
    }

    private static void sourceOverride(ByteBuffer b, int irq, int input, int flags) {
        b.put((byte) 2).put((byte) 10).put((byte) 0).put((byte) irq);
        b.putInt(input).putShort((short) flags);
    }

    /** IA-PC HPET 1.0a section 3.2.4. */
    private static byte[] hpet(int block) {
        byte[] body = new byte[56 - HEADER];
        little(body)
                .putInt(block)
                .putInt(0)
                .putLong(Hpet.BASE)
                .put((byte) 0)
                .putShort((short) 0)
                .put((byte) 0);
        return body;
    }

    /** Windows ACPI Emulated Devices Table 1.0: the PM timer reads right the first time. */
    private static byte[] waet() {
        byte[] body = new byte[4];
        little(body).putInt(2);
        return body;
    }

    private ByteBuffer entry(int command) {
        return ByteBuffer.allocate(128).order(ByteOrder.LITTLE_ENDIAN).putInt(command);
    }

    private static void file(ByteBuffer b, String name) {
        int at = b.position();
        b.put(name.getBytes(StandardCharsets.US_ASCII)).position(at + 56);
    }

    private void allocate(String name, int alignment, int zone) {
        ByteBuffer b = entry(LOADER_ALLOCATE);
        file(b, name);
        b.putInt(alignment).put((byte) zone);
        loader.writeBytes(b.array());
    }

    /** Writes the offset that a pointer starts from into a table, and adds the pointer. */
    private void pointer(String name, int at, String to, int offset) {
        byte[] all = tables.toByteArray();
        little(all).putInt(at, offset);
        tables.reset();
        tables.writeBytes(all);
        pointerEntry(name, at, to);
    }

    private void pointerEntry(String name, int at, String to) {
        ByteBuffer b = entry(LOADER_POINTER);
        file(b, name);
        file(b, to);
        b.putInt(at).put((byte) 4);
        loader.writeBytes(b.array());
    }

    private void checksum(String name, int at, int start, int length) {
        ByteBuffer b = entry(LOADER_CHECKSUM);
        file(b, name);
        b.putInt(at).putInt(start).putInt(length);
        loader.writeBytes(b.array());
    }

    @Override
    public String name() {
        return "acpi_build";
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        patched = c.u8("patched", patched ? 1 : 0) != 0;
    }
}
