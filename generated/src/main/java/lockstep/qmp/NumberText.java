package lockstep.qmp;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Numbers as users write them, read as QEMU reads them: the one place where a text becomes an
 * integer or a number of bytes. White space and a plus sign may stand in front, nothing behind.
 *
 * @param outcome whether there is a value
 * @param value the number, 0 when there is none; unsigned where the method says so
 * @param end index behind the last character that belongs to it
 */
public record NumberText(Outcome outcome, long value, int end) {
    /** What a text turned out to be. */
    public enum Outcome {
        /** A number of the wanted kind. */
        NUMBER,
        /** Not a number. */
        INVALID,
        /** A number that is too small or too large for the kind. */
        OUT_OF_RANGE
    }

    private static final String SUFFIXES = "bkmgtpe";
    private static final String SPACE = "[ \\t\\n\\x0b\\f\\r]*";
    private static final Pattern INTEGER =
            Pattern.compile(SPACE + "([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))");
    private static final Pattern SIZE =
            Pattern.compile(
                    SPACE
                            + "([+-]?)(?:0[xX]([0-9a-fA-F]+)|([0-9]*)(\\.[0-9]*)?([bkmgtpeBKMGTPE])?)");
    private static final Pattern REAL =
            Pattern.compile(
                    SPACE
                            + "[+-]?(?:([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?|(0[xX][0-9a-fA-F]+))");
    private static final Pattern DECIMAL = Pattern.compile(SPACE + "([+-]?[0-9]+)");
    private static final BigInteger UNIT = BigInteger.ONE.shiftLeft(64);

    private static final NumberText NOTHING = new NumberText(Outcome.INVALID, 0, 0);

    /** The value, or empty when there is none. */
    public OptionalLong toOptional() {
        return outcome == Outcome.NUMBER ? OptionalLong.of(value) : OptionalLong.empty();
    }

    /** A 64-bit signed integer: decimal, hexadecimal with {@code 0x} or octal with {@code 0}. */
    public static NumberText signed(String text) {
        return integer(text, UNIT.shiftRight(1).negate(), UNIT.shiftRight(1));
    }

    /** A 64-bit unsigned integer, written likewise. */
    public static NumberText unsigned(String text) {
        return integer(text, BigInteger.ZERO, UNIT);
    }

    /** A 64-bit unsigned integer; a negative one stands for its 64 bits, as in C. */
    public static NumberText wrapping(String text) {
        return integer(text, UNIT.subtract(BigInteger.ONE).negate(), UNIT);
    }

    private static NumberText integer(String text, BigInteger least, BigInteger limit) {
        Matcher m = INTEGER.matcher(text);
        if (!m.matches()) {
            return NOTHING;
        }
        BigInteger value =
                m.group(2) != null
                        ? new BigInteger(m.group(2), 16)
                        : m.group(3) != null
                                ? new BigInteger(m.group(3), 8)
                                : new BigInteger(m.group(4));
        value = m.group(1).equals("-") ? value.negate() : value;
        return of(value, least, limit, m.end());
    }

    private static NumberText of(BigInteger value, BigInteger least, BigInteger limit, int end) {
        return value.compareTo(least) < 0 || value.compareTo(limit) >= 0
                ? new NumberText(Outcome.OUT_OF_RANGE, 0, end)
                : new NumberText(Outcome.NUMBER, value.longValue(), end);
    }

    /** A number of bytes, 64 bits unsigned; without a suffix it counts bytes. */
    public static NumberText size(String text) {
        return size(text, 'b');
    }

    /**
     * A number of bytes, 64 bits unsigned: decimal, perhaps with a fraction, and a suffix from b to
     * E, or hexadecimal without either. The product is rounded to the nearest byte; a fraction of a
     * byte is no size.
     *
     * @param unit the suffix that is meant when there is none, such as {@code M} for -m
     */
    public static NumberText size(String text, char unit) {
        NumberText size = sizeAt(text, 0, unit);
        return size.end == text.length() || size.outcome == Outcome.INVALID ? size : NOTHING;
    }

    /** The same for text that goes on behind the size: it begins at an index. */
    public static NumberText sizeAt(String text, int at, char unit) {
        Matcher m = SIZE.matcher(text).region(at, text.length());
        if (!m.lookingAt()) {
            return NOTHING;
        }
        boolean negative = m.group(1).equals("-");
        if (negative) {
            // Too small, but only where nothing stands behind the number.
            int end = m.group(2) != null || m.group(3).isEmpty() ? m.start() : m.end(3);
            return end == m.start() ? NOTHING : new NumberText(Outcome.OUT_OF_RANGE, 0, end);
        }
        if (m.group(2) != null) {
            return bytes(new BigInteger(m.group(2), 16).shiftLeft(shift(unit)), m.end());
        }
        String whole = m.group(3);
        String fraction = m.group(4) == null || m.group(4).length() == 1 ? "" : m.group(4);
        if (whole.isEmpty() && fraction.isEmpty()) {
            return NOTHING;
        }
        String suffix = m.group(5);
        BigInteger value =
                (whole.isEmpty() ? BigInteger.ZERO : new BigInteger(whole)).shiftLeft(64);
        if (!fraction.isEmpty()) {
            // As precise as a double is, and never nothing for something.
            double part = Double.parseDouble(fraction);
            BigInteger bits = new BigDecimal(part).multiply(new BigDecimal(UNIT)).toBigInteger();
            value = value.add(part > 0 ? bits.max(BigInteger.ONE) : bits);
        }
        char used = suffix == null ? unit : suffix.charAt(0);
        if (value.getLowestSetBit() >= 0 && value.getLowestSetBit() < 64 && shift(used) == 0) {
            return NOTHING;
        }
        if (value.shiftRight(64).compareTo(UNIT) >= 0) {
            // Where the number alone is too large, its suffix is not looked at.
            int end = suffix == null ? m.end() : m.end() - 1;
            return new NumberText(Outcome.OUT_OF_RANGE, 0, end);
        }
        BigInteger half = UNIT.shiftRight(1);
        return bytes(value.shiftLeft(shift(used)).add(half).shiftRight(64), m.end());
    }

    private static NumberText bytes(BigInteger value, int end) {
        return of(value, BigInteger.ZERO, UNIT, end);
    }

    private static int shift(char suffix) {
        return SUFFIXES.indexOf(Character.toLowerCase(suffix)) * 10;
    }

    /** What to tell the user about a size that is none, or too large. */
    public String sizeRefusal(String name, String text) {
        return outcome == Outcome.OUT_OF_RANGE
                ? "Value '" + text + "' is out of range for parameter '" + name + "'"
                : "Parameter '"
                        + name
                        + "' expects a non-negative number below 2^64\n"
                        + "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-,"
                        + " peta-\nand exabytes, respectively.";
    }

    /** A TCP or UDP port, decimal, 0 to 65535; names of services are none. */
    public static OptionalInt port(String text) {
        int value = decimal(text).orElse(-1);
        return value < 0 || value > 0xffff ? OptionalInt.empty() : OptionalInt.of(value);
    }

    /** A 32-bit signed integer in decimal, such as the number of a descriptor. */
    public static OptionalInt decimal(String text) {
        Matcher m = DECIMAL.matcher(text);
        if (!m.matches()) {
            return OptionalInt.empty();
        }
        BigInteger value = new BigInteger(m.group(1));
        return value.bitLength() < Integer.SIZE
                ? OptionalInt.of(value.intValue())
                : OptionalInt.empty();
    }

    /** A finite number with a point and an exponent if need be, or empty when it is none. */
    public static OptionalDouble real(String text) {
        Matcher m = REAL.matcher(text);
        if (!m.matches()) {
            return OptionalDouble.empty();
        }
        double value = Double.parseDouble(m.group(3) == null ? text : text.strip() + "p0");
        return Double.isInfinite(value) ? OptionalDouble.empty() : OptionalDouble.of(value);
    }
}
