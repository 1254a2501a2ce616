package lockstep.devices.smbus;

import lockstep.api.SmbusEepromOptions;
import lockstep.runtime.spi.Device;
import lockstep.runtime.spi.DeviceRequest;
import lockstep.runtime.spi.DeviceScope;
import lockstep.runtime.spi.DeviceType;
import lockstep.runtime.vmstate.StateCodec;
import lockstep.runtime.vmstate.StateException;
import lockstep.runtime.vmstate.StateSection;

import java.util.Objects;

/** A 256-byte EEPROM at SMBus address 0x50 to 0x57. QEMU: vmstate "smbus-eeprom" v1. */
public final class SpdEeprom implements StateSection, Device {
    /** The type. */
    public static final DeviceType<SmbusEepromOptions> TYPE =
            DeviceType.of(
                            "smbus-eeprom",
                            SmbusEepromOptions::read,
                            SmbusEepromOptions::write,
                            SmbusEepromOptions.builder().address(0).build(),
                            new DeviceType.Home(
                                    SmbusController.BUS_TYPE, false, m -> SmbusController.BUS),
                            SpdEeprom::new)
                    .builtIn();

    /** The address of the first memory socket's. */
    public static final int BASE_ADDRESS = 0x50;

    private static final int SIZE = 256;

    private final int address;
    private final byte[] data = new byte[SIZE];

    /** The transfer buffer of the bus layer; always idle between accesses. */
    private final byte[] buffer = new byte[34];

    private int mode;
    private int length;
    private int offset;
    private boolean accessed;

    /** Of an empty memory socket. */
    private SpdEeprom(DeviceRequest<SmbusEepromOptions> request, DeviceScope scope) {
        address = Objects.requireNonNullElse(request.options().address(), BASE_ADDRESS);
        scope.machine().service(SmbusController.class).attach(this, scope);
        scope.section(this);
    }

    /** The 7-bit bus address. */
    int address() {
        return address;
    }

    /** Sets the cell that the next byte comes from. */
    void select(int cell) {
        accessed = true;
        offset = cell & 0xff;
    }

    /** The byte at the present cell; the cell number counts on. */
    int next() {
        accessed = true;
        int value = data[offset] & 0xff;
        offset = offset + 1 & 0xff;
        return value;
    }

    /** Stores a byte at the present cell; the cell number counts on. */
    void store(int value) {
        accessed = true;
        data[offset] = (byte) value;
        offset = offset + 1 & 0xff;
    }

    /** Forgets what a guest stored. */
    void reset() {
        java.util.Arrays.fill(data, (byte) 0);
        offset = 0;
    }

    @Override
    public String name() {
        return "smbus-eeprom";
    }

    @Override
    public int instance() {
        return address - BASE_ADDRESS;
    }

    @Override
    public int version() {
        return 1;
    }

    @Override
    public boolean needed() {
        return accessed;
    }

    @Override
    public void describe(StateCodec c) throws StateException {
        c.struct(
                "smbusdev",
                "smbus_device",
                1,
                s -> {
                    s.struct("i2c", "I2CSlave", 1, i -> i.u8("address", address()));
                    mode = s.i32("mode", mode);
                    length = s.i32("data_len", length);
                    s.bytes("data_buf", buffer);
                });
        c.bytes("data", data);
        offset = c.u8("offset", offset);
        accessed = c.bool("accessed", accessed);
        if (c.loading() && (length < 0 || length > buffer.length)) {
            throw c.invalid("smbus-eeprom: data_len " + length + " is out of range");
        }
    }
}
