package lockstep.devices.usb;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.HexFormat;

/** What the devices answer about themselves: expected bytes are those of QEMU's, asked by the same transfers. */
final class UsbDescriptorsTest {
    private static UsbDevice device(String name, HidDevice.Settings settings) {
        HidDevice device =
                switch (name) {
                    case "tablet" -> new Pointer(true, settings);
                    case "mouse" -> new Pointer(false, settings);
                    default -> new Keyboard(settings);
                };
        device.place("0000:00:04.0-1");
        return device;
    }

    /** A control transfer to the host, from its setup packet in hexadecimal; "stall" for one that is refused. */
    private static String ask(UsbDevice device, String setup) {
        byte[] packet = HexFormat.of().parseHex(setup);
        if (device.transact(UsbSpec.PID_SETUP, 0, packet, 8) != 8) {
            return "stall";
        }
        StringBuilder answer = new StringBuilder();
        byte[] buffer = new byte[64];
        if ((packet[0] & UsbSpec.TO_HOST) == 0) {
            return device.transact(UsbSpec.PID_IN, 0, buffer, 0) == 0 ? "" : "stall";
        }
        for (int got = 8; got == 8; ) {
            got = device.transact(UsbSpec.PID_IN, 0, buffer, 8);
            answer.append(HexFormat.of().formatHex(buffer, 0, Math.max(got, 0)));
        }
        return answer.toString();
    }

    @ParameterizedTest(name = "{0}, {1}, {2}: {3}")
    @CsvSource(
            value = {
                "tablet, true, true, 800600010000ff00, 120100020000000827060100000001030a01",
                "tablet, true, false, 800600010000ff00, 120100010000000827060100000001030a01",
                "tablet, false, true, 800600010000ff00, 120100020000000827060100000001030a01",
                "mouse, true, true, 800600010000ff00, 120100020000000827060100000001020901",
                "kbd, true, true, 800600010000ff00, 120100020000000827060100000001040b01",
                "tablet, true, true, 800600020000ff00,"
                        + " 09022200010107a032090400000103000000092101000001224a000705810308000a",
                "mouse, true, true, 800600020000ff00,"
                        + " 09022200010106a0320904000001030102000921010000012234000705810304000a",
                "kbd, true, true, 800600020000ff00,"
                        + " 09022200010108a032090400000103010100092111010001223f000705810308000a",
                "kbd, true, true, 800600070000ff00,"
                        + " 09072200010108a032090400000103010100092111010001223f0007058103080007",
                "kbd, false, true, 800600070000ff00, stall",
                "kbd, true, true, 800600060000ff00, 0a060002000000400100",
                "kbd, false, true, 800600060000ff00, stall",
                "kbd, true, true, 8006000f0000ff00, 050f0c000107100202000000",
                "kbd, false, true, 8006000f0000ff00, 050f050000",
                "kbd, true, true, 800601030000ff00, 0a03510045004d005500",
                "kbd, true, true, 80060b030000ff00,"
                        + " 2a03360038003200380034002d0030003000300030003a00300030003a00300034002e"
                        + "0030002d003100",
                "tablet, true, true, 80060c030000ff00, ''",
                "tablet, true, true, 8006ee0300001200, 12034d005300460054003100300030005100",
                "tablet, true, false, 8006ee0300001200, ''",
                "tablet, true, true, c05100000400ff00,"
                    + " 28000000000104000100000000000000000100000000000000000000000000000000000000"
                    + "000000",
                "tablet, true, true, c051000004001000, 28000000000104000100000000000000",
                "tablet, true, true, c15100000500ff00,"
                    + " 52000000000105000100480000000400000030005300650"
                    + "06c00650063007400690076006500530075007300700065006e00640045006e00610062006c"
                    + "006500640000000400000001000000000000000000",
                "tablet, true, true, c05100000600ff00, ''",
                "tablet, true, false, c05100000500ff00, stall",
                "tablet, true, true, 8000000000000200, 0000",
                "tablet, true, true, 810a000000000100, stall",
                "tablet, true, true, 8106002100000900, stall",
            })
    void answersAreQemus(String name, boolean fast, boolean windows, String setup, String answer) {
        assertEquals(answer, ask(device(name, new HidDevice.Settings(fast, windows, null)), setup));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "abc, 0803610062006300",
        "'', 0203",
        "äb, 0803c300a4006200",
    })
    void serialNumberIsTheUsers(String serial, String answer) {
        UsbDevice device = device("tablet", new HidDevice.Settings(true, true, serial));
        assertEquals(answer, ask(device, "80060a030000ff00"));
    }

    @ParameterizedTest(name = "configuration {0}")
    @CsvSource({"1, 01", "2, 00", "257, 00"})
    void aConfigurationThatIsNotThereChangesNothing(int number, String now) {
        UsbDevice device = device("kbd", new HidDevice.Settings(true, true, null));
        String set = "0009%02x%02x00000000".formatted(number & 0xff, number >> 8);
        assertEquals("", ask(device, set));
        assertEquals(now, ask(device, "8008000000000100"));
        assertEquals(number == 1 ? "00" : "stall", ask(device, "810a000000000100"));
        assertEquals("stall", ask(device, "810a000001000100"));
    }
}
