package lockstep.runtime.monitor;

import org.jspecify.annotations.Nullable;

import java.util.function.Function;

/**
 * The integer expressions of the human monitor: decimal, 0x, 0 octal, {@code + - * / % & | ^ ~ ( )}
 * and {@code $} in front of a register's name; 64 bits, wrapping. One ends where no operator follows, so that another argument can stand behind it.
 */
final class HmpExpression {
    private static final int MAXIMUM_DEPTH = 256;

    private final String text;
    private final Function<String, @Nullable Long> registers;
    private int at;
    private int depth;

    /** Reads {@code text} from {@code at}; {@code registers} gives values of names, or null. */
    HmpExpression(String text, int at, Function<String, @Nullable Long> registers) {
        this.text = text;
        this.registers = registers;
        this.at = at;
    }

    /** The value; an IllegalArgumentException says what is wrong. */
    long evaluate() {
        long value = sum();
        peek();
        return value;
    }

    /** Where the expression ended. */
    int end() {
        return at;
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
                case '$' -> {
                    return register();
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

    private long register() {
        int start = ++at;
        while (at < text.length() && isName(text.charAt(at))) {
            at++;
        }
        Long value = registers.apply(text.substring(start, at));
        if (value == null) {
            throw new IllegalArgumentException("unknown register");
        }
        return value;
    }

    private static boolean isName(char c) {
        return c >= 'a' && c <= 'z'
                || c >= 'A' && c <= 'Z'
                || c >= '0' && c <= '9'
                || c == '_'
                || c == '.';
    }

    private long number() {
        boolean hex = text.startsWith("0x", at) || text.startsWith("0X", at);
        int radix = hex ? 16 : text.charAt(at) == '0' ? 8 : 10;
        int start = hex ? at + 2 : at;
        int end = start;
        while (end < text.length() && Character.digit(text.charAt(end), radix) >= 0) {
            end++;
        }
        if (end == start) {
            if (!hex) {
                throw new IllegalArgumentException(
                        "invalid char '" + text.charAt(at) + "' in expression");
            }
            at++; // The 0 of an 0x that no digit follows.
            return 0;
        }
        at = end;
        try {
            return Long.parseUnsignedLong(text.substring(start, end), radix);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("number too large", e);
        }
    }
}
