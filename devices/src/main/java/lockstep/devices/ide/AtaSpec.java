package lockstep.devices.ide;

/**
 * Numbers of ATA/ATAPI-7 (INCITS 397, volume 1: status and error registers in 5.2 and 5.14, commands in
 * clause 6), MMC-5 (packet commands) and the SFF-8038i bus master (section 1.3).
 */
final class AtaSpec {
    static final int SECTOR = 512;

    /** Most sectors of one READ or WRITE MULTIPLE. */
    static final int MAX_MULTIPLE = 16;

    /** Bytes of a drive's buffer; on the wire with four more. */
    static final int BUFFER = 256 * SECTOR;

    static final int BUFFER_ON_WIRE = BUFFER + 4;

    // Status register.
    static final int ERR = 0x01;
    static final int DRQ = 0x08;
    static final int SEEK = 0x10;
    static final int READY = 0x40;
    static final int BUSY = 0x80;

    /** Error register: command aborted. */
    static final int ABRT = 0x04;

    // Device control register.
    static final int CONTROL_NIEN = 0x02;
    static final int CONTROL_SRST = 0x04;
    static final int CONTROL_HOB = 0x80;

    // Device register.
    static final int DEVICE_ALWAYS = 0xa0;
    static final int DEVICE_LBA = 0x40;
    static final int DEVICE_SELECT = 0x10;

    // Commands.
    static final int DATA_SET_MANAGEMENT = 0x06;
    static final int DEVICE_RESET = 0x08;
    static final int RECALIBRATE = 0x10;
    static final int READ_SECTORS = 0x20;
    static final int READ_SECTORS_ONCE = 0x21;
    static final int READ_SECTORS_EXT = 0x24;
    static final int READ_DMA_EXT = 0x25;
    static final int READ_NATIVE_MAX_EXT = 0x27;
    static final int READ_MULTIPLE_EXT = 0x29;
    static final int WRITE_SECTORS = 0x30;
    static final int WRITE_SECTORS_ONCE = 0x31;
    static final int WRITE_SECTORS_EXT = 0x34;
    static final int WRITE_DMA_EXT = 0x35;
    static final int WRITE_MULTIPLE_EXT = 0x39;
    static final int WRITE_VERIFY = 0x3c;
    static final int WRITE_DMA_FUA_EXT = 0x3d;
    static final int VERIFY = 0x40;
    static final int VERIFY_ONCE = 0x41;
    static final int VERIFY_EXT = 0x42;
    static final int SEEK_COMMAND = 0x70;
    static final int DIAGNOSTIC = 0x90;
    static final int INITIALIZE_PARAMETERS = 0x91;
    static final int STANDBY_NOW_OLD = 0x94;
    static final int IDLE_NOW_OLD = 0x95;
    static final int STANDBY_OLD = 0x96;
    static final int IDLE_OLD = 0x97;
    static final int CHECK_POWER_OLD = 0x98;
    static final int SLEEP_OLD = 0x99;
    static final int PACKET = 0xa0;
    static final int IDENTIFY_PACKET = 0xa1;
    static final int SMART = 0xb0;
    static final int READ_MULTIPLE = 0xc4;
    static final int WRITE_MULTIPLE = 0xc5;
    static final int SET_MULTIPLE = 0xc6;
    static final int READ_DMA = 0xc8;
    static final int READ_DMA_ONCE = 0xc9;
    static final int WRITE_DMA = 0xca;
    static final int WRITE_DMA_ONCE = 0xcb;
    static final int WRITE_MULTIPLE_FUA_EXT = 0xce;
    static final int STANDBY_NOW = 0xe0;
    static final int IDLE_NOW = 0xe1;
    static final int STANDBY = 0xe2;
    static final int IDLE = 0xe3;
    static final int CHECK_POWER = 0xe5;
    static final int SLEEP = 0xe6;
    static final int FLUSH = 0xe7;
    static final int FLUSH_EXT = 0xea;
    static final int IDENTIFY = 0xec;
    static final int SET_FEATURES = 0xef;
    static final int READ_NATIVE_MAX = 0xf8;

    // Bus master registers.
    static final int BM_START = 0x01;
    static final int BM_TO_MEMORY = 0x08;
    static final int BM_ACTIVE = 0x01;
    static final int BM_ERROR = 0x02;
    static final int BM_INTERRUPT = 0x04;

    // What a request in flight is, as the migration stream counts it.
    static final int RETRY_DMA = 0x08;
    static final int RETRY_PIO = 0x10;
    static final int RETRY_READ = 0x20;
    static final int RETRY_FLUSH = 0x40;
    static final int RETRY_TRIM = 0x80;

    private AtaSpec() {}
}
