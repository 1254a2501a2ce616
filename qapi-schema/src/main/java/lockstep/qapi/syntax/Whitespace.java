package lockstep.qapi.syntax;

/** What counts as white space between tokens and in documentation: that of Unicode. */
final class Whitespace {
    private Whitespace() {}

    static boolean is(int c) {
        return c <= ' '
                ? c == ' ' || c >= '\t' && c <= '\r' || c >= 0x1c && c <= 0x1f
                : c >= 0x80 && (c == 0x85 || Character.isWhitespace(c) || Character.isSpaceChar(c));
    }

    /** The number of white-space characters the text starts with. */
    static int leading(String text) {
        int end = 0;
        while (end < text.length() && is(text.charAt(end))) {
            end++;
        }
        return end;
    }

    /** The text without white space at its end. */
    static String stripEnd(String text) {
        int end = text.length();
        while (end > 0 && is(text.charAt(end - 1))) {
            end--;
        }
        return text.substring(0, end);
    }
}
