package lockstep.devices.fwcfg;

import lockstep.api.FwCfgIoOptions;
import lockstep.devices.aml.Aml;
import lockstep.devices.board.PcBoard;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.memory.IoHandler;
import lockstep.runtime.memory.RamBlock;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The device at ports 0x510 to 0x51b. QEMU: vmstate "fw_cfg" v2. Used under the machine lock. */
public final class FwCfg implements StateSection, Device {
    /** The type. */
    public static final DeviceType<FwCfgIoOptions> TYPE =
            DeviceType.of(
                            "fw_cfg_io",
                            FwCfgIoOptions::read,
                            FwCfgIoOptions::write,
                            FwCfgIoOptions.builder()
                                    .acpiMrRestore(true)
                                    .dmaEnabled(true)
                                    .xFileSlots(FwCfg.FILE_SLOTS)
                                    .build(),
                            new DeviceType.Home("System", false, m -> "sysbus"),
                            FwCfg::new)
                    .builtIn("acpi-mr-restore", "dma_enabled");

    public static final int UUID = 0x02;
    public static final int RAM_SIZE = 0x03;
    public static final int NOGRAPHIC = 0x04;
    public static final int NB_CPUS = 0x05;
    public static final int NUMA = 0x0d;
    public static final int BOOT_MENU = 0x0e;
    public static final int MAX_CPUS = 0x0f;
    public static final int ACPI_TABLES = 0x8000;
    public static final int SMBIOS_ENTRIES = 0x8001;
    public static final int IRQ0_OVERRIDE = 0x8002;
    public static final int HPET = 0x8004;

    private static final int SIGNATURE = 0x00;
    private static final int ID = 0x01;
    private static final int FILE_DIRECTORY = 0x19;
    private static final int FILE_FIRST = 0x20;
    private static final int FILE_SLOTS = 0x20;
    private static final int FILE_NAME = 56;
    private static final int INVALID = 0xffff;

    private static final int FEATURE_PORTS = 1;
    private static final int FEATURE_DMA = 2;
    private static final int BASE = 0x510;

    private static final int DMA_ERROR = 0x01;
    private static final int DMA_READ = 0x02;
    private static final int DMA_SKIP = 0x04;
    private static final int DMA_SELECT = 0x08;
    private static final int DMA_WRITE = 0x10;

    /** {@code QEMU CFG}, what a read of the DMA register gives. */
    private static final long DMA_SIGNATURE = 0x51454d5520434647L;

    /** One transfer moves at most this much behind an item's end. */
    private static final int DMA_LIMIT = 64 << 20;

    private static final int CHUNK = 64 << 10;
    private static final String OPTION_ROMS = "genroms/";

    /** One item's content: bytes of its own, or a block that migrates. */
    private static final class Item {
        MemorySegment content;
        long size;
        @Nullable Runnable selected;

        Item(MemorySegment content, long size) {
            this.content = content;
            this.size = size;
        }
    }

    /** A file whose content is guest-visible memory: an ACPI table or the loader's script. */
    private record Backed(String name, RamBlock block, String stateField) {}

    // Configuration.
    private final boolean dma;
    private final boolean restoresSizes;

    private final GuestMemory memory;
    private final Map<Integer, Item> items = new HashMap<>();
    private final TreeMap<String, Item> files = new TreeMap<>();
    private final List<Backed> backed = new ArrayList<>();

    private int current;
    private int offset;
    private long dmaAddress;

    private FwCfg(DeviceRequest<FwCfgIoOptions> request, DeviceScope scope) {
        dma = !Boolean.FALSE.equals(request.options().dmaEnabled());
        restoresSizes = !Boolean.FALSE.equals(request.options().acpiMrRestore());
        memory = scope.machine().dma();
        item(SIGNATURE, "QEMU".getBytes(StandardCharsets.US_ASCII));
        number(ID, 4, dma ? FEATURE_PORTS | FEATURE_DMA : FEATURE_PORTS);
        scope.ports("fwcfg", BASE, 2, ports());
        if (dma) {
            scope.ports("fwcfg.dma", BASE + 4, 8, dmaPorts());
        }
        scope.onReset(this::reset);
        scope.section(this);
        byte[] terms =
                Aml.device(
                        "FWCF",
                        Aml.name("_HID", Aml.string("QEMU0002")),
                        Aml.name("_STA", Aml.integer(0x0b)),
                        Aml.name("_CRS", Aml.resources(Aml.ports(BASE, BASE, 1, dma ? 12 : 2))));
        PcBoard.of(scope).acpi().addSystem(terms, scope);
    }

    private void reset() {
        select(SIGNATURE);
        dmaAddress = 0;
    }

    /** Sets the item of a key. */
    public void item(int key, byte[] content) {
        items.put(key, new Item(MemorySegment.ofArray(content.clone()), content.length));
    }

    /** Sets the item of a key to bytes that nobody changes any more. */
    public void item(int key, MemorySegment content) {
        items.put(key, new Item(content.asReadOnly(), content.byteSize()));
    }

    /** Sets an item to a little-endian number of {@code bytes} bytes. */
    public void number(int key, int bytes, long value) {
        byte[] content = new byte[bytes];
        for (int i = 0; i < bytes; i++) {
            content[i] = (byte) (value >>> (8 * i));
        }
        item(key, content);
    }

    /** Adds or replaces a file. {@link #publish} makes it visible. */
    public void file(String name, byte[] content) {
        files.put(name, new Item(MemorySegment.ofArray(content.clone()), content.length));
    }

    /** The same with bytes that nobody changes any more. */
    public void file(String name, MemorySegment content) {
        files.put(name, new Item(content.asReadOnly(), content.byteSize()));
    }

    /**
     * Adds a file that lives in a migrated block.
     *
     * @param size bytes of the file, at most the block's used length
     * @param stateField the name of its size in the section
     * @param selected runs when firmware selects the file
     */
    public void file(String name, RamBlock block, long size, String stateField, Runnable selected) {
        Item item = new Item(block.memory(), size);
        item.selected = selected;
        files.put(name, item);
        backed.add(new Backed(name, block, stateField));
    }

    /** Numbers the files in the order of their names and writes the directory. */
    public void publish() {
        if (files.size() > FILE_SLOTS) {
            throw new IllegalStateException("fw_cfg has room for " + FILE_SLOTS + " files");
        }
        ByteBuffer directory = ByteBuffer.allocate(4 + files.size() * 64);
        directory.putInt(files.size());
        int key = FILE_FIRST;
        for (Map.Entry<String, Item> e : files.entrySet()) {
            items.put(key, e.getValue());
            byte[] name = e.getKey().getBytes(StandardCharsets.US_ASCII);
            directory.putInt((int) e.getValue().size).putShort((short) key).putShort((short) 0);
            directory.put(name).position(directory.position() + FILE_NAME - name.length);
            key++;
        }
        item(FILE_DIRECTORY, directory.array());
    }

    /** Lines about the option ROMs that firmware finds here, or about the tables that it copies to memory. */
    public String describeRoms(boolean options) {
        StringBuilder out = new StringBuilder();
        if (!options) {
            for (Backed b : backed) {
                out.append(
                        "/rom@%s size=0x%06x name=\"%s\"\n"
                                .formatted(b.name, b.block.maxLength(), b.name));
            }
            return out.toString();
        }
        files.forEach(
                (name, item) -> {
                    if (name.startsWith(OPTION_ROMS)) {
                        out.append(
                                "fw=%s size=0x%06x name=\"%s\"\n"
                                        .formatted(
                                                name,
                                                item.size,
                                                name.substring(OPTION_ROMS.length())));
                    }
                });
        return out.toString();
    }

    private void select(int key) {
        // Bit 14 once asked for write access.
        current = key & ~0x4000;
        offset = 0;
        Item item = items.get(current);
        if (item == null) {
            current = INVALID;
        } else if (item.selected != null) {
            item.selected.run();
        }
    }

    private int next() {
        Item item = items.get(current);
        if (item == null || Integer.compareUnsigned(offset, (int) item.size) >= 0) {
            return 0;
        }
        return item.content.get(ValueLayout.JAVA_BYTE, offset++) & 0xff;
    }

    private IoHandler ports() {
        return new IoHandler() {
            @Override
            public int maxAccess() {
                return 2;
            }

            @Override
            public long read(long port, int size) {
                return port == 1 || size == 1 ? next() : 0;
            }

            @Override
            public void write(long port, int size, long value) {
                if (port == 0 && size == 2) {
                    select((int) value & 0xffff);
                }
            }
        };
    }

    private IoHandler dmaPorts() {
        return new IoHandler() {
            @Override
            public long read(long port, int size) {
                ByteBuffer bytes = ByteBuffer.allocate(16).putLong(0, DMA_SIGNATURE);
                return bytes.order(ByteOrder.LITTLE_ENDIAN).getInt((int) port);
            }

            @Override
            public void write(long port, int size, long value) {
                if (size != 4) {
                    return;
                }
                long half = Integer.reverseBytes((int) value) & 0xffff_ffffL;
                if (port == 0) {
                    dmaAddress = half << 32;
                } else if (port == 4) {
                    long at = dmaAddress | half;
                    dmaAddress = 0;
                    transfer(at);
                }
            }
        };
    }

    private void transfer(long at) {
        int control = Integer.reverseBytes(memory.readInt(at));
        int length = Integer.reverseBytes(memory.readInt(at + 4));
        long target = Long.reverseBytes(memory.readLong(at + 8));
        if ((control & DMA_SELECT) != 0) {
            select(control >>> 16);
        }
        int answer = 0;
        if ((control & DMA_READ) != 0) {
            answer = copy(target, length);
        } else if ((control & DMA_WRITE) != 0) {
            answer = length == 0 ? 0 : DMA_ERROR;
        } else if ((control & DMA_SKIP) != 0) {
            Item item = items.get(current);
            long size = item == null ? 0 : item.size;
            offset = (int) Math.min(size, (offset & 0xffff_ffffL) + (length & 0xffff_ffffL));
        }
        memory.writeInt(at, Integer.reverseBytes(answer));
    }

    private int copy(long target, int length) {
        Item item = items.get(current);
        int left = item == null ? 0 : (int) Math.max(0, item.size - (offset & 0xffff_ffffL));
        if (Integer.compareUnsigned(length, left + DMA_LIMIT) > 0) {
            return DMA_ERROR;
        }
        int done = 0;
        if (item != null) {
            done = Math.min(left, length);
            if (done > 0) {
                memory.write(target, item.content.asSlice(offset, done));
                offset += done;
            }
        }
        // Beyond an item's end there are zeros.
        byte[] zeros = new byte[Math.min(CHUNK, length - done)];
        while (done < length) {
            int n = Math.min(zeros.length, length - done);
            memory.write(target + done, zeros, 0, n);
            done += n;
        }
        return 0;
    }

    @Override
    public String name() {
        return "fw_cfg";
    }

    @Override
    public int version() {
        return 2;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        current = c.u16("cur_entry", current);
        offset = c.u32("cur_offset[1]", offset);
        c.subsection("fw_cfg/dma", 0, dma, s -> dmaAddress = s.u64("dma_addr", dmaAddress));
        c.subsection("fw_cfg/acpi_mr", 1, restoresSizes && !backed.isEmpty(), this::describeSizes);
    }

    private void describeSizes(StateCodec c) throws StateException {
        for (Backed b : backed) {
            Item item = files.get(b.name);
            if (item == null) {
                continue;
            }
            long size = c.u64(b.stateField, item.size);
            if (!c.loading()) {
                continue;
            }
            if (Long.compareUnsigned(size, b.block.maxLength()) > 0) {
                throw c.invalid("fw_cfg: " + b.stateField + " is larger than " + b.name);
            }
            item.size = size;
            long pages = size + RamBlock.PAGE - 1 & -RamBlock.PAGE;
            if (pages != b.block.usedLength() && pages > 0) {
                b.block.resize(pages);
            }
        }
        if (c.loading()) {
            publish();
        }
    }

    @Override
    public void afterLoad(int version) throws StateException {
        Item item = items.get(current);
        long size = item == null ? 0 : item.size;
        if (Long.compareUnsigned(offset & 0xffff_ffffL, size) > 0) {
            offset = (int) size;
        }
    }
}
