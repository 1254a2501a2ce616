package lockstep.devices.smbios;

import lockstep.devices.fwcfg.FwCfg;

import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Builds the structure table and its entry point. */
public final class Smbios {
    private static final String MANUFACTURER = "QEMU";
    private static final String PRODUCT = "Standard PC (i440FX + PIIX, 1996)";

    private static final long GIB = 1L << 30;

    /** The largest memory device whose size fits its 15 bits of MiB. */
    private static final long DEVICE_MAX = 16 * GIB;

    private final ByteArrayOutputStream table = new ByteArrayOutputStream();
    private int structures;
    private int largest;

    private Smbios() {}

    /**
     * Adds the files to {@code fwCfg}.
     *
     * @param version what the machine type calls itself
     * @param cpuSignature CPUID leaf 1's EAX and EDX, EAX in the low half
     */
    public static void offer(
            FwCfg fwCfg,
            String version,
            byte @Nullable [] uuid,
            int cpus,
            long cpuSignature,
            long ramSize,
            long below4G) {
        Smbios s = new Smbios();
        s.system(version, uuid);
        s.chassis(version);
        for (int i = 0; i < cpus; i++) {
            s.processor(i, version, cpuSignature);
        }
        s.memory(ramSize, below4G);
        s.add(32, 0x2000, little(11 - 4).array());
        s.add(127, 0x7f00, new byte[0]);
        fwCfg.file("etc/smbios/smbios-tables", s.table.toByteArray());
        fwCfg.file("etc/smbios/smbios-anchor", s.anchor());
    }

    private static ByteBuffer little(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private void add(int type, int handle, byte[] body, String... strings) {
        int start = table.size();
        ByteBuffer header = little(4);
        header.put((byte) type).put((byte) (4 + body.length)).putShort((short) handle);
        table.writeBytes(header.array());
        table.writeBytes(body);
        for (String s : strings) {
            table.writeBytes(s.getBytes(StandardCharsets.UTF_8));
            table.write(0);
        }
        if (strings.length == 0) {
            table.write(0);
        }
        table.write(0);
        structures++;
        largest = Math.max(largest, table.size() - start);
    }

    private void system(String version, byte @Nullable [] uuid) {
        ByteBuffer b = little(0x1b - 4);
        b.put((byte) 1).put((byte) 2).put((byte) 3).put((byte) 0);
        if (uuid == null) {
            b.put(new byte[16]);
        } else {
            // The first three fields are little endian: section 7.2.1.
            ByteBuffer u = ByteBuffer.wrap(Arrays.copyOf(uuid, 16));
            b.putInt(u.getInt()).putShort(u.getShort()).putShort(u.getShort());
            b.put(uuid, 8, 8);
        }
        b.put((byte) 6).put((byte) 0).put((byte) 0);
        add(1, 0x100, b.array(), MANUFACTURER, PRODUCT, version);
    }

    private void chassis(String version) {
        ByteBuffer b = little(0x16 - 4);
        b.put((byte) 1).put((byte) 1).put((byte) 2).put((byte) 0).put((byte) 0);
        b.put((byte) 3).put((byte) 3).put((byte) 3).put((byte) 2);
        add(3, 0x300, b.array(), MANUFACTURER, version);
    }

    private void processor(int number, String version, long signature) {
        ByteBuffer b = little(0x2a - 4);
        b.put((byte) 1).put((byte) 3).put((byte) 1).put((byte) 2).putLong(signature);
        b.put((byte) 3).put((byte) 0).putShort((short) 0);
        b.putShort((short) 2000).putShort((short) 2000).put((byte) 0x41).put((byte) 1);
        b.putShort((short) -1).putShort((short) -1).putShort((short) -1);
        b.put((byte) 0).put((byte) 0).put((byte) 0);
        b.put((byte) 1).put((byte) 1).put((byte) 1).putShort((short) 2).putShort((short) 1);
        add(4, 0x400 + number, b.array(), "CPU " + number, MANUFACTURER, version);
    }

    private void memory(long ramSize, long below4G) {
        int devices = (int) ((ramSize + DEVICE_MAX - 1) / DEVICE_MAX);
        ByteBuffer a = little(0x17 - 4);
        a.put((byte) 1).put((byte) 3).put((byte) 6);
        long kib = ramSize >>> 10;
        boolean fits = kib < 1L << 31;
        a.putInt(fits ? (int) kib : 1 << 31).putShort((short) -2).putShort((short) devices);
        a.putLong(fits ? 0 : ramSize);
        add(16, 0x1000, a.array());
        for (int i = 0; i < devices; i++) {
            long size = Math.min(DEVICE_MAX, ramSize - i * DEVICE_MAX);
            ByteBuffer d = little(0x28 - 4);
            d.putShort((short) 0x1000).putShort((short) -2).putShort((short) -1);
            d.putShort((short) -1).putShort((short) (size >>> 20)).put((byte) 9).put((byte) 0);
            d.put((byte) 1).put((byte) 0).put((byte) 7).putShort((short) 2).putShort((short) 0);
            d.put((byte) 2);
            add(17, 0x1100 + i, d.array(), "DIMM " + i, MANUFACTURER);
        }
        mapped(0x1300, 0, Math.min(ramSize, below4G), devices);
        if (ramSize > below4G) {
            mapped(0x1301, 4 * GIB, ramSize - below4G, devices);
        }
    }

    private void mapped(int handle, long start, long size, int devices) {
        long first = start >>> 10;
        long last = (start + size - 1) >>> 10;
        ByteBuffer b = little(0x1f - 4);
        if (last < 0xffff_ffffL) {
            b.putInt((int) first).putInt((int) last).putShort((short) 0x1000);
            b.put((byte) devices).putLong(0).putLong(0);
        } else {
            b.putInt(-1).putInt(-1).putShort((short) 0x1000);
            b.put((byte) devices).putLong(start).putLong(start + size - 1);
        }
        add(19, handle, b.array());
    }

    /** Section 5.2.1; firmware fills in the address and both checksums. */
    private byte[] anchor() {
        ByteBuffer b = little(0x1f);
        b.put("_SM_".getBytes(StandardCharsets.US_ASCII)).put((byte) 0).put((byte) 0x1f);
        b.put((byte) 2).put((byte) 8).putShort((short) largest).put((byte) 0).put(new byte[5]);
        b.put("_DMI_".getBytes(StandardCharsets.US_ASCII)).put((byte) 0);
        b.putShort((short) table.size()).putInt(0).putShort((short) structures).put((byte) 0x28);
        return b.array();
    }
}
