package lockstep.devices.ide;

import static lockstep.devices.ide.AtaSpec.*;

import lockstep.devices.ide.Drive.After;

/** The part of SMART that operating systems ask for at start (ATA/ATAPI-7 6.51): a healthy disk. */
final class Smart {
    /** Attribute, flags, value, worst, threshold: error rate, start/stop count, reallocations, hours. */
    private static final int[][] ATTRIBUTES = {
        {1, 0x03, 100, 100, 6},
        {4, 0x02, 100, 100, 20},
        {5, 0x03, 100, 100, 36},
        {9, 0x03, 100, 100, 0},
        {12, 0x03, 100, 100, 0},
        {190, 0x03, 69, 69, 50},
    };

    private Smart() {}

    /** Runs a SMART command; true when it is over. */
    static boolean execute(Channel channel, Drive d) {
        if (d.hcyl != 0xc2 || d.lcyl != 0x4f || !d.smart && d.feature != 0xd8) {
            d.abort();
            return true;
        }
        switch (d.feature) {
            case 0xd8 -> d.smart = true;
            case 0xd9 -> d.smart = false;
            case 0xda -> {
                // Within thresholds: the signature stays.
                d.hcyl = 0xc2;
                d.lcyl = 0x4f;
            }
            // Automatic save of attributes, off-line tests: all there is is in memory.
            case 0xd2, 0xd4 -> {}
            case 0xd0 -> {
                values(d);
                return send(channel, d);
            }
            case 0xd1 -> {
                thresholds(d);
                return send(channel, d);
            }
            case 0xd5 -> {
                if (!log(d)) {
                    d.abort();
                    return true;
                }
                return send(channel, d);
            }
            default -> {
                d.abort();
                return true;
            }
        }
        d.status = READY | SEEK;
        return true;
    }

    private static void values(Drive d) {
        d.clearBuffer(SECTOR);
        d.put(0, 1);
        for (int i = 0; i < ATTRIBUTES.length; i++) {
            int at = 2 + 12 * i;
            d.put(at, ATTRIBUTES[i][0]);
            d.put(at + 1, ATTRIBUTES[i][1]);
            d.put(at + 3, ATTRIBUTES[i][2]);
            d.put(at + 4, ATTRIBUTES[i][3]);
        }
        // Off-line collection was never started; self-tests exist and last 2 and 54 minutes.
        d.put(364, 0x20);
        d.put(365, 0x01);
        d.put(367, 0x1b);
        d.put(368, 0x03);
        d.put(370, 0x01);
        d.put(372, 2);
        d.put(373, 54);
        checksum(d);
    }

    private static void thresholds(Drive d) {
        d.clearBuffer(SECTOR);
        d.put(0, 1);
        for (int i = 0; i < ATTRIBUTES.length; i++) {
            d.put(2 + 12 * i, ATTRIBUTES[i][0]);
            d.put(3 + 12 * i, ATTRIBUTES[i][4]);
        }
        checksum(d);
    }

    private static boolean log(Drive d) {
        d.clearBuffer(SECTOR);
        switch (d.sector) {
            // Directory: the self-test log has one sector.
            case 0x00 -> {
                d.put(0, 1);
                d.put(2 * 6, 1);
                return true;
            }
            // Summary error log: no errors.
            case 0x01 -> d.put(0, 1);
            // Self-test log: none ran.
            case 0x06 -> d.put(0, 1);
            default -> {
                return false;
            }
        }
        checksum(d);
        return true;
    }

    private static void checksum(Drive d) {
        int sum = 0;
        for (int i = 0; i < SECTOR - 1; i++) {
            sum += d.get(i);
        }
        d.put(SECTOR - 1, -sum);
    }

    private static boolean send(Channel channel, Drive d) {
        d.status = READY | SEEK;
        d.startTransfer(0, SECTOR, After.STOP);
        channel.interrupt();
        return false;
    }
}
