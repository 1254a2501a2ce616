package lockstep.runtime.migration;

/** The bytes that structure a migration stream. */
final class StreamFormat {
    static final int MAGIC = 0x5145564d;
    static final int VERSION = 3;

    /** What a further connection of multifd starts with. */
    static final int MULTIFD_MAGIC = 0x11223344;

    static final int EOF = 0x00;
    static final int START = 0x01;
    static final int PART = 0x02;
    static final int END = 0x03;
    static final int FULL = 0x04;
    static final int SUBSECTION = 0x05;
    static final int DESCRIPTION = 0x06;
    static final int CONFIGURATION = 0x07;
    static final int COMMAND = 0x08;
    static final int FOOTER = 0x7e;

    static final int COMMAND_OPEN_RETURN_PATH = 1;
    static final int COMMAND_PING = 2;

    /** The sender may go on with postcopy. */
    static final int COMMAND_POSTCOPY_ADVISE = 3;

    static final int COMMAND_ENABLE_COLO = 8;
    static final int COMMAND_SWITCHOVER_START = 11;

    /** What a primary that can send {@link DeviceChanges} says of it at the end of the description. */
    static final String SENDS_CHANGES = ", \"colo_device_changes\": 1";

    static final int RETURN_SHUT = 1;
    static final int RETURN_PONG = 2;

    private StreamFormat() {}

    /** Whether senders of that machine type announce the switchover: from version 10.0 on. */
    static boolean announcesSwitchover(String machineType) {
        String version = machineType.substring(machineType.lastIndexOf('-') + 1);
        int dot = version.indexOf('.');
        if (dot <= 0 || dot > 3) {
            return false;
        }
        for (int i = 0; i < dot; i++) {
            if (version.charAt(i) < '0' || version.charAt(i) > '9') {
                return false;
            }
        }
        return Integer.parseInt(version.substring(0, dot)) >= 10;
    }
}
