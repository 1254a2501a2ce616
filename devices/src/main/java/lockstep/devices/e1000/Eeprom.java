package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;

import lockstep.runtime.memory.LittleEndian;

/**
 * The 64-word EEPROM: reads by the MAC itself (EERD) and bit by bit over the Microwire pins in EECD (manual,
 * 5.3 and 13.4.3). Writes are not modelled: the guest cannot change the image.
 */
final class Eeprom {
    static final int WORDS = 64;

    /** Opcode of a read with its start bit. */
    private static final int READ = 6;

    /** Bits of start, opcode and six-bit address. */
    private static final int COMMAND_BITS = 9;

    /** What all words of the image add up to (manual, 5.6.35). */
    private static final int SUM = 0xbaba;

    // Guest-visible state.
    final int[] words = new int[WORDS];
    int valIn;
    int bitnumIn;
    int bitnumOut;
    int reading;
    int oldEecd;

    /** An image for an 82540EM with the address {@code mac} (six bytes). */
    Eeprom(byte[] mac, int deviceId) {
        java.util.Arrays.fill(words, 0xffff);
        for (int i = 0; i < 3; i++) {
            words[i] = LittleEndian.get16(mac, 2 * i);
        }
        // Words from 0x03: compatibility, then board number 0x08, initialization control 1 (0x0a),
        // subsystem and device identity (0x0b to 0x0e), initialization control 2 (0x0f), PHY and
        // management settings. The values are those a real guest finds on this part under QEMU.
        int[] rest = {
            0x0000, 0xffff, 0x0000, 0x0000, 0x0000, 0x3000, 0x1000, 0x6403, deviceId, 0x8086,
            deviceId, 0x8086, 0x3040, 0x0008, 0x2000, 0x7e14, 0x0048, 0x1000, 0x00d8, 0x0000,
            0x2700, 0x6cc9, 0x3150, 0x0722, 0x040b, 0x0984, 0x0000, 0xc000, 0x0706, 0x1008, 0x0000,
            0x0f04, 0x7fff, 0x4d01
        };
        System.arraycopy(rest, 0, words, 3, rest.length);
        words[0x30] = 0x0100;
        words[0x31] = 0x4000;
        words[0x32] = 0x121c;
        int sum = 0;
        for (int i = 0; i < WORDS - 1; i++) {
            sum += words[i];
        }
        words[WORDS - 1] = SUM - sum & 0xffff;
    }

    void reset() {
        valIn = 0;
        bitnumIn = 0;
        bitnumOut = 0;
        reading = 0;
        oldEecd = 0;
    }

    /** The guest moves the pins. */
    void writePins(int value) {
        int old = oldEecd;
        oldEecd = value & (EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQ);
        if ((value & EECD_CS) == 0) {
            return;
        }
        if (((value ^ old) & EECD_CS) != 0) {
            valIn = 0;
            bitnumIn = 0;
            bitnumOut = 0;
            reading = 0;
        }
        if (((value ^ old) & EECD_SK) == 0) {
            return;
        }
        if ((value & EECD_SK) == 0) {
            bitnumOut = bitnumOut + 1 & 0xffff;
            return;
        }
        valIn = valIn << 1 | ((value & EECD_DI) != 0 ? 1 : 0);
        bitnumIn = bitnumIn + 1 & 0xffff;
        if (bitnumIn == COMMAND_BITS && reading == 0) {
            // The next falling edge shows the first bit of the word.
            bitnumOut = ((valIn & 0x3f) << 4) - 1 & 0xffff;
            reading = (valIn >> 6 & 7) == READ ? 1 : 0;
        }
    }

    /** The pins as the guest sees them. */
    int readPins() {
        int value = EECD_PRES | EECD_GNT | oldEecd;
        int word = words[bitnumOut >> 4 & 0x3f];
        if (reading == 0 || (word >> (bitnumOut & 0xf ^ 0xf) & 1) != 0) {
            value |= EECD_DO;
        }
        return value;
    }

    /** The read register after the guest wrote {@code eerd} to it. */
    int readWord(int eerd) {
        if ((eerd & EERD_START) == 0) {
            return eerd;
        }
        int address = eerd >> 8 & 0xff;
        if (address >= WORDS) {
            return EERD_DONE | eerd & 0xffff;
        }
        return words[address] << 16 | EERD_DONE | eerd & 0xffff;
    }
}
