package lockstep.runtime.monitor;

/** The integer expressions of the human monitor: decimal, 0x, 0 octal, {@code + - * / % & | ^ ~ ( )}. */
final class HmpExpression {
    private static final int MAXIMUM_DEPTH = 64;

    private final String text;
    private int at;
    private int depth;

    private HmpExpression(String text) {
        this.text = text;
    }

    /** The value; an IllegalArgumentException says what is wrong. */
    static long evaluate(String text) {
        HmpExpression e = new HmpExpression(text);
        long value = e.sum();
        if (e.peek() != 0) {
            throw new IllegalArgumentException("invalid char '" + e.peek() + "' in expression");
        }
        return value;
    }

    private char peek() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return at < text.length() ? text.charAt(at) : 0;
    }

    private long sum() {
        long value = logic();
        while (peek() == '+' || peek() == '-') {
            char op = text.charAt(at++);
            long right = logic();
            value = op == '+' ? value + right : value - right;
        }
        return value;
    }

    private long logic() {
        long value = product();
        while (peek() == '&' || peek() == '|' || peek() == '^') {
            char op = text.charAt(at++);
            long right = product();
            value = op == '&' ? value & right : op == '|' ? value | right : value ^ right;
        }
        return value;
    }

    private long product() {
        long value = unary();
        while (peek() == '*' || peek() == '/' || peek() == '%') {
            char op = text.charAt(at++);
            long right = unary();
            if (op != '*' && right == 0) {
                throw new IllegalArgumentException("division by zero");
            }
            value = op == '*' ? value * right : op == '/' ? value / right : value % right;
        }
        return value;
    }

    private long unary() {
        if (++depth > MAXIMUM_DEPTH) {
            throw new IllegalArgumentException("expression too deep");
        }
        try {
            char c = peek();
            switch (c) {
                case '+' -> {
                    at++;
                    return unary();
                }
                case '-' -> {
                    at++;
                    return -unary();
                }
                case '~' -> {
                    at++;
                    return ~unary();
                }
                case '(' -> {
                    at++;
                    long value = sum();
                    if (peek() != ')') {
                        throw new IllegalArgumentException("')' expected");
                    }
                    at++;
                    return value;
                }
                case '\'' -> {
                    if (at + 2 >= text.length() || text.charAt(at + 2) != '\'') {
                        throw new IllegalArgumentException("missing terminating ' character");
                    }
                    long value = text.charAt(at + 1);
                    at += 3;
                    return value;
                }
                case 0 -> throw new IllegalArgumentException("unexpected end of expression");
                default -> {
                    return number();
                }
            }
        } finally {
            depth--;
        }
    }

    private long number() {
        int start = at;
        while (at < text.length() && Character.isLetterOrDigit(text.charAt(at))) {
            at++;
        }
        String digits = text.substring(start, at);
        try {
            if (digits.startsWith("0x") || digits.startsWith("0X")) {
                return Long.parseUnsignedLong(digits.substring(2), 16);
            }
            return digits.length() > 1 && digits.startsWith("0")
                    ? Long.parseUnsignedLong(digits, 8)
                    : Long.parseUnsignedLong(digits);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(
                    "invalid char '" + text.charAt(start) + "' in expression");
        }
    }
}
