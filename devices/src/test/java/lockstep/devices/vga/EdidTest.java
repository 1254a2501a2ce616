package lockstep.devices.vga;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.zip.CRC32;

/** The monitor of random sizes and limits: CRC-32 of the 384 bytes that QEMU 7.2 shows for the same. */
final class EdidTest {
    @ParameterizedTest(name = "{0}x{1} of {2}x{3} at {4}")
    @CsvSource({
        "0, 0, 0, 0, 0, 56b33c87",
        "0, 1908, 6239, 6688, 0, 230f1b41",
        "2532, 3746962816, 0, 0, 0, d6f8864a",
        "2829, 1133063676, 0, 0, 0, f5791fdd",
        "0, 960, 0, 640, 1792, 2e6604c7",
        "0, 0, 1896, 3943154445, 0, 361361b4",
        "0, 5017, 0, 8742, 0, 56cb0600",
        "1025, 0, 0, 0, 2176, 36ec8338",
        "6892, 0, 1920, 1344, 0, d407402b",
        "2159614766, 0, 0, 0, 3587296208, dcc0cde3",
        "0, 0, 1175468587, 5663, 0, 56b33c87",
        "1200, 1600, 0, 2958, 768, ce11ad1c",
        "2534736829, 3675868048, 0, 0, 8400, be098901",
        "8821, 0, 0, 0, 0, 1d521d6a",
        "0, 16, 1792, 2550997970, 5229, 01499743",
        "7266, 0, 157895640, 0, 0, 051dd947",
        "7777, 2186, 1856, 0, 768, 6d6d3b96",
        "2795, 1344, 0, 8997, 142926, 1f82069a",
        "0, 600, 1920, 3036, 29367, 80c7b5f3",
        "0, 0, 2577915089, 0, 4829, d47f4ce0",
        "4188035405, 1593, 1792, 0, 8696, 7baf5b59",
        "0, 1373, 0, 1656774844, 0, 332f7b89",
        "0, 1484, 960, 0, 112932, 673183e9",
        "600, 1041, 1512, 0, 41886, e671a8c3",
        "2928, 0, 0, 0, 0, 6746a971",
        "4640, 0, 0, 0, 71965, c7cfd69a",
        "2247, 1507, 0, 247, 0, 029c0156",
        "0, 8334, 1286, 7972, 0, 7be88f72",
        "0, 2381409137, 1080, 1382, 423187296, e61baade",
        "0, 1440, 2134, 2039, 14272, 5f11c723",
        "5870, 0, 768, 900, 13695, b9e2434c",
        "858, 1993680833, 0, 3372598500, 0, dcfe66b3",
        "0, 0, 0, 6568, 10894, b67e2361",
        "0, 0, 1680, 0, 159684, a7c658c9",
        "2305188431, 0, 2139, 6769, 4925, 4072f9e5",
        "0, 0, 6940, 0, 0, 56b33c87",
        "429759739, 0, 0, 1257, 0, f7cc881c",
        "0, 0, 0, 0, 1920, 80cf8743",
        "1355, 2274, 0, 0, 0, 9a7057c6",
        "2257, 0, 0, 0, 183662, 45f4885c"
    })
    void monitorIsQemus(
            long width, long height, long maxWidth, long maxHeight, long refresh, String crc) {
        CRC32 sum = new CRC32();
        sum.update(new Edid(width, height, maxWidth, maxHeight, refresh).bytes());
        assertEquals(crc, "%08x".formatted(sum.getValue()));
    }
}
