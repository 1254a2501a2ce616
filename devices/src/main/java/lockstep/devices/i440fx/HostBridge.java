package lockstep.devices.i440fx;

import lockstep.api.PciDeviceOptions;
import lockstep.devices.board.PcBoard;
import lockstep.devices.pci.PciDevice;
import lockstep.devices.pci.PciFunction;
import lockstep.devices.pci.PciSpec;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceException;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** The host bridge, function 00.0. QEMU: vmstate "I440FX" v3. */
public final class HostBridge extends PciFunction implements StateSection {
    /** The type. */
    public static final DeviceType<PciDeviceOptions> TYPE =
            PciDevice.type(
                            "i440FX",
                            PciDeviceOptions::read,
                            PciDeviceOptions::write,
                            PciDeviceOptions.builder().build(),
                            HostBridge::create)
                    .builtIn();

    private static final int DEVICE = 0x1237;

    /** PAM0 of 82441FX section 3.2.17; the others follow. */
    private static final int PAM0 = 0x59;

    private static final int PAM6 = 0x5f;
    private static final int SMRAM = 0x72;
    private static final int SMRAM_OPEN = 0x40;
    private static final int SMRAM_DEFAULT = 0x02;

    /** Where coreboot expects the size of RAM in units of 8 MiB. */
    private static final int RAM_SIZE = 0x57;

    private static final int READ = 1;
    private static final int WRITE = 2;

    /** RAM that a guest switched in hides the ROMs, which are mapped with priority 1. */
    private static final int SHADOW_PRIORITY = 2;

    private final AddressSpace.@Nullable Region[] shadow = new AddressSpace.Region[13];
    private AddressSpace.@Nullable Region smram;

    private HostBridge() {
        super("I440FX", PciSpec.VENDOR_INTEL, DEVICE, 2, 0x0600);
        // No reset of the machine brings that and the shadow memory back: firmware that finds its
        // own copy there knows that the guest was rebooted, or slept.
        config[SMRAM] = SMRAM_DEFAULT;
    }

    private static Device create(DeviceRequest<PciDeviceOptions> request, DeviceScope scope)
            throws DeviceException {
        PcBoard board = PcBoard.of(scope);
        HostBridge function = new HostBridge();
        PciDevice.attach(board.pci(), function, request, scope);
        return new PciDevice(function, List.of());
    }

    @Override
    protected void realize() {
        for (int i = 0; i < shadow.length; i++) {
            shadow[i] = map("pam-ram", base(i), i == 0 ? 0x10000 : 0x4000);
        }
        smram = map("smram-low", 0xa0000, 0x20000);
        config[RAM_SIZE] = (byte) Math.min(machine().ramSize() >>> 23, 255);
    }

    /** RAM that is seen when the guest says so; null where there is none, with less than 1 MiB. */
    private AddressSpace.@Nullable Region map(String name, long base, long length) {
        long size = Math.min(length, machine().ramSize() - base);
        if (size <= 0) {
            return null;
        }
        AddressSpace.Region region =
                machine().memory().mapRam(name, base, size, machine().ram(), base, SHADOW_PRIORITY);
        region.enabled(false);
        return scope().own(region);
    }

    /** Segment 0 is the upper half of PAM0, then the lower and upper halves of PAM1 to PAM6. */
    private static long base(int segment) {
        return segment == 0 ? 0xf0000 : 0xc0000 + (segment - 1) * 0x4000L;
    }

    private int attributes(int segment) {
        int register = config[PAM0 + (segment + 1) / 2];
        return ((segment & 1) == 0 ? register >> 4 : register) & (READ | WRITE);
    }

    private void update() {
        AddressSpace memory = machine().memory();
        memory.begin();
        for (int i = 0; i < shadow.length; i++) {
            AddressSpace.Region r = shadow[i];
            if (r != null) {
                int a = attributes(i);
                r.readOnly((a & WRITE) == 0);
                // Written but not read is taken for both, as by QEMU: what is written has to be
                // there.
                r.enabled(a != 0);
            }
        }
        AddressSpace.Region r = smram;
        if (r != null) {
            r.enabled((config[SMRAM] & SMRAM_OPEN) != 0);
        }
        memory.commit();
    }

    @Override
    protected void configWritten(int offset, int size) {
        if (touches(offset, size, PAM0, PAM6 - PAM0 + 1) || touches(offset, size, SMRAM, 1)) {
            update();
        }
    }

    @Override
    public int version() {
        return 3;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        describePci("parent_obj", c);
        c.pad("unused", 1);
    }

    @Override
    public void afterLoad(int version) {
        update();
    }
}
