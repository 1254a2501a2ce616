package lockstep.qmp;

/**
 * The UTF-8 of QMP: U+0000 may be the two bytes C0 80; surrogates, noncharacters and other long forms
 * are wrong. A wrong sequence counts as one character, however many bytes it claims to have.
 */
final class ModifiedUtf8 {
    private final byte[] bytes;
    private final int end;

    /** Where the next character starts. */
    int position;

    ModifiedUtf8(byte[] bytes, int start, int end) {
        this.bytes = bytes;
        this.position = start;
        this.end = end;
    }

    /** All characters; wrong sequences are U+FFFD. */
    static String decode(byte[] bytes, int length) {
        ModifiedUtf8 reader = new ModifiedUtf8(bytes, 0, length);
        StringBuilder text = new StringBuilder(length);
        while (reader.position < length) {
            int code = reader.next();
            text.appendCodePoint(code < 0 ? 0xFFFD : code);
        }
        return text.toString();
    }

    /** Whether a code point may appear. */
    static boolean valid(int code) {
        return code >= 0
                && code <= 0x10FFFF
                && !(code >= 0xD800 && code <= 0xDFFF)
                && !(code >= 0xFDD0 && code <= 0xFDEF)
                && (code & 0xFFFE) != 0xFFFE;
    }

    /** Takes a character; -1 for a wrong sequence, which is skipped. */
    int next() {
        int first = bytes[position++] & 0xFF;
        if (first < 0x80) {
            return first;
        }
        if (first < 0xC0 || first >= 0xFE) {
            return -1;
        }
        int length = Integer.numberOfLeadingZeros(~(first << 24));
        int code = first & (0x7F >> length);
        for (int i = 1; i < length; i++) {
            if (position >= end || (bytes[position] & 0xC0) != 0x80) {
                return -1;
            }
            code = code << 6 | bytes[position++] & 0x3F;
        }
        int least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
        boolean good = length <= 4 && (code >= least || (length == 2 && code == 0));
        return good && valid(code) ? code : -1;
    }
}
